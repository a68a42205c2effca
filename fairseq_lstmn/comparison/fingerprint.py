"""What makes the result of a run, beside its options: the data, files named, and the software."""

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

import fairseq_lstmn

PACKAGE = Path(fairseq_lstmn.__file__).parent
# of this package, what a trained model depends on
MODEL_CODE = ("ops", "modules", "models", "tasks", "data", "compat.py")
CHUNK = 1 << 20  # bytes


def digest(value):
    """Eight letters that stand for ``value``, anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def of_files(paths):
    """The SHA-256 of files' names and contents; names count from their common folder."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(path.name.encode() + b"\0")
        with open(path, "rb") as file:
            while chunk := file.read(CHUNK):
                whole.update(chunk)
    return whole.hexdigest()


def of_data(data):
    """The fingerprint of what fairseq reads from the folders ``data`` (colons between them)."""
    return [
        of_files(
            sorted(
                path
                for path in Path(folder).rglob("*")
                if path.suffix in (".bin", ".idx", ".label") or path.name.startswith("dict.")
            )
        )
        for folder in data.split(":")
    ]


def of_named_files(options):
    """Fingerprints of the files that options name, such as pretrained vectors."""
    files = {
        name: Path(value)
        for name, value in options.items()
        if isinstance(value, str) and "/" in value and Path(value).is_file()
    }
    return {name: of_files([path]) for name, path in files.items()}


def versions():
    """The versions of what a result depends on; our own models' code by its contents."""
    fairseq = [name for name in ("fairseq", "fairseq-fixed") if _installed(name)]
    found = {name: metadata.version(name) for name in (*fairseq, "torch", "numpy")}
    code = sorted(
        path
        for part in MODEL_CODE
        for path in [PACKAGE / part, *(PACKAGE / part).rglob("*")]
        if path.suffix in (".py", ".cpp", ".h")
    )
    own = f"{fairseq_lstmn.__version__} (models {of_files(code)[:8]})"
    return {"python": platform.python_version(), "fairseq-lstmn": own, **found}


def _installed(name):
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False
