"""Long runs of small models: every line answered in order, and memory that does not grow.

    python scripts/robustness/load.py

feeds 100,000 lines to `fairseq-lstmn predict` and to fairseq-interactive, trains for 5,000 updates
on batches of varying lengths and generates 10,000 translations. Memory is the process's resident
set; its slope is a least-squares line after the first fifth, with the interval of two standard
errors, as if measurements were independent. The exit status is 1 where a line went missing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from fairseq.sequence_generator import SequenceGenerator
from fairseq.trainer import Trainer
from fairseq_cli import generate
from models import WORDS, binarise, dictionary, pairs, sentences, translation
from moments import wrap
from runs import PLUGIN, forked, train
from scipy import stats

LINES = [" ".join(WORDS[k : k + 1 + k % 7]) for k in range(13)]  # fed again and again
PAIRS = [f"{line}\t{other}" for line, other in zip(LINES, reversed(LINES))]

COMMANDS = "import sys; from fairseq_lstmn.cli import main; sys.exit(main())"  # fairseq-lstmn

Size = tuple[int, float]  # items so far, and the MiB that the process holds then


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--sentences", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = {kind: Path(name, kind) for kind in ("pairs", "translation")}
        for folder in folders.values():
            folder.mkdir()
        settings = pairs(folders["pairs"])
        trained = train(settings, folders["pairs"] / "run")
        assert trained.ended, trained.log()
        wrong = predict(folders["pairs"] / "run/checkpoints/checkpoint_last.pt", args.lines)

        settings = translation(folders["translation"])
        memory_of_updates(settings, folders["translation"] / "run", args.updates)
        path = folders["translation"] / "run/checkpoints/checkpoint_last.pt"
        memory_of_sentences(folders["translation"], path, args.sentences)
        wrong += interactive(folders["translation"], path, args.lines)
    return int(wrong > 0)


def predict(path: Path, count: int) -> int:
    """`fairseq-lstmn predict` on ``count`` lines; returns how many answers are wrong."""
    command = [sys.executable, "-c", COMMANDS, "predict", str(path), "--cpu", "--format", "json"]
    output = answer(command, PAIRS, count)
    answers = [json.loads(line) for line in output.splitlines()]
    labels = [(one.get("label"), one.get("error")) for one in answers]
    return report("predict", labels, count)


def interactive(data: Path, path: Path, count: int) -> int:
    """fairseq-interactive on ``count`` lines; returns how many answers are wrong."""
    command = [
        sys.executable, "-m", "fairseq_cli.interactive", str(data), "--path", str(path), "--cpu",
        "--user-dir", str(PLUGIN), "--buffer-size", "260", "--batch-size", "26", "--beam", "1",
        "--max-len-b", "5", "--source-lang", "in", "--target-lang", "out",
    ]  # fmt: skip
    lines = [line for line in answer(command, LINES, count).splitlines() if line[:2] == "H-"]
    numbers = [int(line[2:].split("\t")[0]) for line in lines]
    texts = [line.split("\t")[2] for line in lines]
    return report("interactive", texts if numbers == list(range(count)) else [], count)


def answer(command: Sequence[str], lines: Sequence[str], count: int) -> str:
    """What a command prints for ``count`` lines of input."""
    text = "".join(lines[k % len(lines)] + "\n" for k in range(count))
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def report(name: str, answers: Sequence[object], count: int) -> int:
    """Print how many of ``count`` answers are not those of the same line before."""
    period = len(LINES)
    same = sum(one == answers[k % period] for k, one in enumerate(answers))
    print(f"{name}: {count:,} lines, {count - same:,} wrong or missing", flush=True)
    return count - same


def memory_of_updates(settings: Sequence[str], folder: Path, count: int) -> None:
    """Train for ``count`` updates, measuring after each."""
    longer = ["--max-epoch", "0", "--max-update", str(count), "--save-interval-updates", "0"]
    longer += ["--no-epoch-checkpoints", "--validate-interval", "100"]

    def measured() -> Callable[[], None]:
        sizes: list[Size] = []
        wrap(Trainer, "train_step", measuring(sizes))
        return lambda: torch.save(sizes, folder / "sizes.pt")

    trained = train([*settings, *longer], folder, at_start=measured)
    assert trained.ended, trained.log()
    print_slope("updates", torch.load(folder / "sizes.pt"))


def memory_of_sentences(data: Path, path: Path, count: int) -> None:
    """Translate a test set of ``count`` sentences, a batch of 10 at a time."""
    for side in ("in", "out"):
        words = dictionary(data, f"dict.{side}.txt", WORDS)
        binarise(data / f"test.in-out.{side}", sentences(f"test.{side}", words, size=count))

    def work() -> None:
        sizes: list[Size] = []
        wrap(SequenceGenerator, "generate", measuring(sizes, 10))
        sys.argv = [
            "fairseq-generate", str(data), "--path", str(path), "--cpu", "--beam", "2",
            "--user-dir", str(PLUGIN), "--batch-size", "10", "--max-len-b", "5",
            "--required-batch-size-multiple", "1", "--results-path", str(data / "results"),
            "--source-lang", "in", "--target-lang", "out",
        ]  # fmt: skip
        generate.cli_main()
        torch.save(sizes, data / "sizes.pt")

    assert forked(work, data / "log") == 0, (data / "log").read_text()
    print_slope("sentences", torch.load(data / "sizes.pt"))


def measuring(sizes: list[Size], items: int = 1) -> Callable[..., Any]:
    """Wrap a step that does ``items`` at a time: adds (items so far, MiB) after it."""

    def step(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        sizes.append((items * (len(sizes) + 1), resident()))
        return result

    return step


def resident() -> float:
    """The resident set of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def print_slope(name: str, sizes: Sequence[Size]) -> None:
    after = sizes[len(sizes) // 5 :]
    line = stats.linregress(*zip(*after))
    slope, error = 1000 * line.slope, 2000 * line.stderr
    print(
        f"memory, {sizes[-1][0]:,} {name}: {after[0][1]:.1f} to {after[-1][1]:.1f} MiB, slope"
        f" {slope:.3f} MiB per 1,000 ({slope - error:.3f} to {slope + error:.3f})",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
