"""Trainings by fairseq-train on text that is made up, the same in three precisions.

A loss in half precision is held against that in float32.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import Cases, header, is_importable

PRECISIONS: dict[str, list[str]] = {
    "fp32": [],
    "bf16": ["--bf16"],
    "fp16": ["--fp16", "--fp16-init-scale", "4"],
}
LIMIT = 0.05  # of a loss, as a part of that in float32: about what another seed changes
LM = "--task language_modeling --arch lstmn_lm --sample-break-mode eos".split()
DEEP = "--task translation --arch lstmn_deep --source-lang a --target-lang b".split()
COMMON = (
    "--optimizer adam --lr 0.002 --clip-norm 5 --seed 1 --num-workers 0 --no-save "
    "--log-format json --disable-validation"
).split()


def command(module: str, *options: str) -> list[str]:
    return [sys.executable, "-m", module, *options]


def write_text(folder: Path, lines: int) -> None:
    """Sentences of two languages, where the second is the first backwards."""
    draw = random.Random(0)
    sentences = [
        [f"w{draw.randrange(50)}" for _ in range(draw.randrange(4, 12))] for _ in range(lines)
    ]
    (folder / "train.a").write_text("\n".join(" ".join(words) for words in sentences) + "\n")
    (folder / "train.b").write_text("\n".join(" ".join(words[::-1]) for words in sentences) + "\n")


def prepare(folder: Path, lines: int) -> None:
    """fairseq's binary data in ``folder``/lm and ``folder``/mt."""
    write_text(folder, lines)
    preprocess = command("fairseq_cli.preprocess")
    text = ["--trainpref", str(folder / "train")]
    run(
        [
            *preprocess,
            *text,
            "--source-lang",
            "a",
            "--target-lang",
            "b",
            "--destdir",
            f"{folder}/mt",
        ]
    )
    only = ["--trainpref", str(folder / "train.a"), "--only-source"]
    run([*preprocess, *only, "--destdir", f"{folder}/lm"])


def run(arguments: list[str]) -> str:
    """Its output; raises with all of it if it fails."""
    result = subprocess.run(arguments, capture_output=True, text=True)
    output = result.stdout + result.stderr
    if result.returncode:
        raise RuntimeError(f"{' '.join(arguments)}\n{output}")
    return output


def last_loss(log: str) -> float:
    """The mean of the last epoch, of a few updates, in fairseq's JSON log lines."""
    lines = [line for line in log.splitlines() if '"train_loss"' in line]
    return float(json.loads(lines[-1][lines[-1].index("{") :])["train_loss"])


def compare(cpu: bool) -> None:
    """Train both models in every precision; nothing to do where fairseq is not there."""
    if not is_importable("fairseq"):
        print("Not run: fairseq cannot be imported.")
        return
    cases = Cases()
    updates, tokens = (4, "200") if cpu else (200, "4000")
    header("model", "precision", "loss of the last epoch", "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, 40 if cpu else 4000)
        for data, model in (("lm", LM), ("mt", DEEP)):
            losses: dict[str, float] = {}
            for precision, options in PRECISIONS.items():
                if cpu and precision != "fp32":
                    continue
                with cases.case(f"{model[3]} {precision}"):
                    log = run(
                        command(
                            *("fairseq_cli.train", str(folder / data), *model, *COMMON, *options),
                            *("--user-dir", "fairseq_lstmn", "--max-tokens", tokens),
                            *("--max-update", str(updates), *(["--cpu"] if cpu else [])),
                        )
                    )
                    losses[precision] = last_loss(log)
                    judge(cases, model[3], precision, losses)
    cases.end()


def judge(cases: Cases, model: str, precision: str, losses: dict[str, float]) -> None:
    away = abs(losses[precision] / losses.get("fp32", losses[precision]) - 1)
    cases.faults += not away <= LIMIT
    verdict = "right" if away <= LIMIT else f"**WRONG**, {away:.1%} away from fp32"
    print(f"| {model} | {precision} | {losses[precision]:.4f} | {verdict} |", flush=True)
