"""What the commands that score write, read item by item: None while it is not all there."""

import re
from pathlib import Path

import numpy as np

from fairseq_lstmn.compare.kinds.items import Answers, Recalled, Scored, Tokens, Translations


def read_tokens(folder: Path, log: str) -> Scored | None:
    """Every token's log-probability, from what fairseq-eval-lm logs with --output-word-probs."""
    speed = re.search(r"Evaluated .* \(([\d.]+) tokens/s\)", log)
    if "Perplexity: " not in log or speed is None:
        return None
    blocks: dict[int, list[str]] = {}
    for line in log.split("\n"):
        # the rest of a line's beginning is another below Python 3.11
        found = re.search(r"\bINFO\W+fairseq_cli\.eval_lm\W+(\d+) (.*\])$", line)
        if found:
            blocks[int(found[1])] = found[2].split("\t")
    numbers = sorted(blocks)
    pairs = [entry[:-1].rpartition(" [") for number in numbers for entry in blocks[number]]
    logs = np.array([float(value) for _, _, value in pairs])
    tokens = Tokens([word for word, _, _ in pairs], logs)
    return Scored(tokens, float(speed[1]), numbers, left_out(log))


def read_translations(folder: Path, log: str) -> Scored | None:
    """Every sentence with its first hypothesis, from the file of fairseq-generate."""
    paths = list(folder.glob("generate-*.txt"))
    text = paths[0].read_text(encoding="utf-8") if paths else ""
    speed = re.search(r"Translated .* \(([\d.]+) sentences/s", log + text)
    if "\nGenerate " not in text or speed is None:
        return None
    lines: dict[str, dict[int, str]] = {kind: {} for kind in "STD"}
    for line in text.split("\n"):
        kind, dash, number = line.partition("\t")[0].partition("-")
        if dash and kind in lines:
            # a reference may be empty; of several hypotheses the best stands first
            lines[kind].setdefault(int(number), line.split("\t")[-1])
    numbers = sorted(lines["T"])
    sides = ([lines[kind].get(n, "") for n in numbers] for kind in "SDT")
    return Scored(Translations(*sides), float(speed[1]), numbers, left_out(log + text))


def read_answers(folder: Path, log: str) -> Scored | None:
    """Every example's probabilities, from the file of fairseq_lstmn.compare.kinds.validate"""
    path = folder / "answers.npz"
    if not path.exists():
        return None
    with np.load(path) as found:
        classes = [str(name) for name in found["classes"]]
        answers = Answers(classes, found["probabilities"], found["labels"], found["lengths"])
        speed, numbers = float(found["items_per_second"]), found["numbers"].tolist()
        return Scored(answers, speed, numbers, left_out(log))


def read_recalled(folder: Path, log: str) -> Scored | None:
    """Every question's answer, from the file of fairseq_lstmn.compare.kinds.validate"""
    path = folder / "answers.npz"
    if not path.exists():
        return None
    with np.load(path) as found:
        values = found["classes"][found["labels"]].tolist()
        fields = ("numbers", "distances", "right", "log_probabilities")
        recalled = Recalled(values, *(found[name] for name in fields))
        speed, numbers = float(found["items_per_second"]), np.unique(found["numbers"]).tolist()
        return Scored(recalled, speed, numbers, left_out(log))


def left_out(log: str) -> int:
    """How many examples fairseq says that it skips, as they are too long; the last time it ran."""
    counts = re.findall(r"([\d,]+) samples have invalid sizes and will be skipped", log)
    return int(counts[-1].replace(",", "")) if counts else 0
