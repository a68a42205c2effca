"""Translation: the best hypothesis for every sentence. N sentences."""

import re
from dataclasses import dataclass
from pathlib import Path

from fairseq import options as fairseq_options
from fairseq.tasks.translation import TranslationTask

from fairseq_lstmn.compare.kinds.kind import (
    Bucketing,
    Evaluation,
    Kind,
    Predictions,
    left_out,
    register,
)
from fairseq_lstmn.compare.stats.metrics import METRICS


@dataclass(frozen=True)
class Translations(Predictions):
    """Every sentence: source, output and reference as text (N)."""

    sources: list[str]
    hypotheses: list[str]
    references: list[str]

    @property
    def targets(self) -> list[str]:
        return self.references

    def bucketings(self, data: str | None, subset: str) -> list[Bucketing]:
        lengths = [len(reference.split()) for reference in self.references]
        return [Bucketing.by_length("length of the reference", lengths)]


@register
class Translation(Kind):
    """Scored by ``fairseq-generate``, which writes a file."""

    task = TranslationTask
    metrics = METRICS["bleu"], METRICS["chrf"], METRICS["exact-match"]
    command = ("fairseq-generate",)
    parser = staticmethod(fairseq_options.get_generation_parser)

    def output_options(self, folder: Path) -> list[str]:
        return ["--results-path", str(folder)]

    def read(self, folder: Path, log: str) -> Evaluation | None:
        paths = list(folder.glob("generate-*.txt"))
        text = paths[0].read_text(encoding="utf-8") if paths else ""
        speed = re.search(r"Translated .* \(([\d.]+) sentences/s", log + text)
        if "\nGenerate " not in text or speed is None:
            return None
        lines: dict[str, dict[int, str]] = {letter: {} for letter in "STD"}
        for line in text.split("\n"):
            letter, dash, number = line.partition("\t")[0].partition("-")
            if dash and letter in lines:
                # a reference may be empty; of several hypotheses the best stands first
                lines[letter].setdefault(int(number), line.split("\t")[-1])
        numbers = sorted(lines["T"])
        sides = ([lines[letter].get(n, "") for n in numbers] for letter in "SDT")
        return Evaluation(Translations(*sides), float(speed[1]), numbers, left_out(log + text))
