import json


def write(found, dest):
    (dest / "results.json").write_text(json.dumps(found, indent=1))


def summary(found):
    return "\n".join(found["errors"])
