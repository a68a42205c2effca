"""How well models guess identifiers, by how far back each stood last in its file.

    python examples/source_code/by_distance.py runs/source_code --dest runs/by_distance
    python examples/source_code/by_distance.py lstm=A.pt lstm=B.pt lstmn=C.pt --dest DIR

reads the test text with the best checkpoints of a comparison, or with those named, a name for all
seeds of a model. It prints perplexity and accuracy on all words, on identifiers that stood before
in their file, by distance, on those that are new in it, and on what is no identifier. The first
model is the baseline. DEST gets by_distance.json, by_distance.md and by_distance.png.
"""

import argparse
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from guesses import guess
from identifier_scores import ByDistance, markdown, results_of
from picture import draw

from fairseq_lstmn.compare.report import finite
from fairseq_lstmn.compare.report.schema import Results
from fairseq_lstmn.data.data_folder import add_dest, atomic_folder, check_new
from fairseq_lstmn.errors import InputError


def checkpoints(sources: Sequence[str]) -> dict[str, dict[str, str]]:
    """{model: {seed: path}} of comparisons' folders and of words NAME=PATH."""
    by_model: dict[str, dict[str, str]] = defaultdict(dict)
    for source in sources:
        name, equals, path = source.partition("=")
        if equals:
            by_model[name][str(len(by_model[name]) + 1)] = path
        else:
            for model, seed, path in of_comparison(Path(source)):
                by_model[model][seed] = path
    return by_model


def of_comparison(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (model, seed, path of the best checkpoint) of a comparison's runs."""
    try:
        results: Results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder}: holds no comparison ({error.strerror})") from None
    for entry in results["commands"]:
        if entry["stage"] == "score":
            run = re.match(r"(.*?), seed (\d+)", entry["run"])
            assert run is not None  # only runs are scored
            words = shlex.split(entry["command"])
            yield run[1], run[2], words[words.index("--path") + 1]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", metavar="RUNS|NAME=CHECKPOINT")
    parser.add_argument("--subset", default="test", help="part of the data (default: test)")
    add_dest(parser)
    args = parser.parse_args(argv)
    check_new(args.dest)
    items = {
        name: {seed: guess(path, args.subset) for seed, path in seeds.items()}
        for name, seeds in checkpoints(args.sources).items()
    }
    results: ByDistance = finite(results_of(items))
    with atomic_folder(args.dest) as folder:
        (folder / "by_distance.json").write_text(json.dumps(results, indent=1) + "\n")
        (folder / "by_distance.md").write_text(markdown(results), encoding="utf-8")
        draw(results, folder / "by_distance.png")
    print(markdown(results))


if __name__ == "__main__":
    main()
