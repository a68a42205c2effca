"""Kill training runs with SIGKILL, resume them, and compare what they end with.

    python scripts/robustness/kill_and_resume.py

Three small models are trained with dropout on one thread: a language model with carried tapes, a
translation model with deep fusion and a model of sentence pairs whose pretrained vectors go slower
in the first epoch. Runs are killed at random moments, in the middle of writes among them, and
started again until they are through. Every checkpoint, the last random state and the examples of
every update must then be those of a run that nobody killed; the exit status is 1 otherwise.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from left_behind import compare
from models import MODELS
from runs import Kill, Run, train

MOMENTS = ("clock", "update", "validation", "write", "copy", "move")
MOST_IN_A_ROW = 4  # kills of one run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=34, help="of each model (default: 34)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default: 1)")
    args = parser.parse_args()
    print("| model | runs | kills | at | examples | largest difference | failures |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        failed = [torment(name, Path(folder, name), args.kills, args.seed) for name in args.models]
    return int(any(failed))


def torment(name: str, folder: Path, kills: int, seed: int) -> int:
    """Kill runs of a model ``kills`` times and print a row; returns the number of failures."""
    folder.mkdir()
    options = MODELS[name](folder)
    reference = train(options, folder / "reference")
    assert reference.ended, reference.log()
    found: Counter[str] = Counter()
    draw, runs, failures, largest = random.Random(seed), 0, 0, 0.0
    while sum(found.values()) < kills:
        runs += 1
        run_folder = folder / f"run{runs}"
        left = min(MOST_IN_A_ROW, kills - sum(found.values()))
        found += kill_repeatedly(options, run_folder, reference, left, draw)
        difference, complaints = compare(run_folder, reference.folder)
        largest, failures = max(largest, difference), failures + bool(complaints)
        for complaint in complaints:
            print(f"{name}, {run_folder.name}: {complaint}", file=sys.stderr)
    at = ", ".join(f"{found[moment]} {moment}" for moment in MOMENTS if found[moment])
    examples = sum(len(update["ids"]) for update in reference.updates())
    row = name, runs, sum(found.values()), at, f"{examples:,}", f"{largest:g}", failures
    print("|", " | ".join(map(str, row)), "|", flush=True)
    return failures


def kill_repeatedly(
    options: list[str], folder: Path, reference: Run, most: int, draw: random.Random
) -> Counter[str]:
    """Train in ``folder`` to the end, killed ``most`` times or less; counts where."""
    found: Counter[str] = Counter()
    while sum(found.values()) < most:
        moment = draw.choice(MOMENTS)
        last = reference.seconds if moment == "clock" else reference.moments()[moment]
        run = train(options, folder, Kill(moment, draw.uniform(0, last)))
        if run.ended:
            return found
        assert run.killed, run.log()
        found[moment] += 1
    run = train(options, folder)
    assert run.ended, run.log()
    return found


if __name__ == "__main__":
    sys.exit(main())
