"""Language modelling: the perplexity of every token of a text. N tokens."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fairseq import options as fairseq_options
from fairseq.data import Dictionary, data_utils
from fairseq.tasks.language_modeling import LanguageModelingTask

from fairseq_lstmn.compare.kinds.kind import (
    Bucketing,
    Evaluation,
    Kind,
    Predictions,
    left_out,
    register,
)
from fairseq_lstmn.compare.quiet import quiet
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.compare.types import Floats, Indices

END = "</s>"
BLOCK = 35  # tokens, where a text has no sentences: fairseq's PTB recipes train on as many
COUNTS = ["0 (unknown)", "1-9", "10-99", "100-999", "1,000-9,999", "10,000 and more"]
DISTANCES = ["never", "1-10", "11-50", "51-200", "more than 200"]
POSITIONS = ["1", "2-5", "6-10", "11-20", "21-40", "more than 40"]
AT_A_TIME = 1000  # sentences


@dataclass(frozen=True)
class Tokens(Predictions):
    """Every token that was scored, in the order of the text.

    Attributes:
        words: the token (N), strings.
        log_probabilities: its natural logarithm (N).
    """

    words: list[str]
    log_probabilities: Floats
    in_any_blocks = True

    @property
    def targets(self) -> list[str]:
        return self.words

    def units(self) -> Indices:
        """The sentence, up to and with its end; blocks of ``BLOCK`` where a text has no ends."""
        ends = np.array([word == END for word in self.words])
        if not ends.any():
            return np.arange(len(ends)) // BLOCK
        sentences: Indices = np.cumsum(ends) - ends
        return sentences

    def bucketings(self, data: str | None, subset: str) -> list[Bucketing]:
        by_counts = [] if data is None else [by_frequency(self.words, word_counts(data, subset))]
        by_position = [self._by_position()] if END in self.words else []
        return [*by_counts, self._by_recency(), *by_position]

    def _by_recency(self) -> Bucketing:
        """How many tokens ago the word occurred last in the test text."""
        last: dict[str, int] = {}
        distances = []
        for position, word in enumerate(self.words):
            distances.append(position - last.get(word, position))
            last[word] = position
        index = np.digitize(distances, [1, 11, 51, 201])
        return Bucketing.occupied("distance to its last occurrence", DISTANCES, index)

    def _by_position(self) -> Bucketing:
        """The how-manieth token of its sentence, from 1 on."""
        sentences = self.units()
        starts = np.flatnonzero(np.diff(sentences, prepend=-1))
        positions = np.arange(len(sentences)) - starts[sentences] + 1
        index = np.digitize(positions, [2, 6, 11, 21, 41])
        return Bucketing.occupied("position in the sentence", POSITIONS, index)


def by_frequency(words: Sequence[str], counts: Mapping[str, int]) -> Bucketing:
    """How often the word occurs in the training text."""
    occurrences = [counts.get(word, 0) for word in words]
    index = np.digitize(occurrences, [1, 10, 100, 1_000, 10_000])
    return Bucketing.occupied("frequency in training", COUNTS, index)


def word_counts(data: str, subset: str) -> Counter[str]:
    """{word: occurrences} in a binarised part of the folders ``data`` (colons between them)."""
    total: Counter[str] = Counter()
    for folder in map(Path, data.split(":")):
        with quiet():
            dictionary = Dictionary.load(str(folder / "dict.txt"))
            sentences = data_utils.load_indexed_dataset(str(folder / subset), dictionary)
        counts = np.zeros(len(dictionary), dtype=np.int64)
        for first in range(0, len(sentences), AT_A_TIME):
            numbers = range(first, min(first + AT_A_TIME, len(sentences)))
            tokens = np.concatenate([sentences[number].numpy() for number in numbers])
            counts += np.bincount(tokens, minlength=len(dictionary))
        total += Counter(dict(zip(dictionary.symbols, counts.tolist())))
    return total


@register
class LanguageModelling(Kind):
    """Scored by ``fairseq-eval-lm``, which logs every token."""

    task = LanguageModelingTask
    metrics = (METRICS["perplexity"],)
    command = ("fairseq-eval-lm",)
    parser = staticmethod(fairseq_options.get_eval_lm_parser)

    def output_options(self, folder: Path) -> list[str]:
        return ["--output-word-probs"]

    def read(self, folder: Path, log: str) -> Evaluation | None:
        speed = re.search(r"Evaluated .* \(([\d.]+) tokens/s\)", log)
        if "Perplexity: " not in log or speed is None:
            return None
        blocks: dict[int, list[str]] = {}
        for line in log.split("\n"):
            # the rest of a line's beginning is another below Python 3.11
            block = re.search(r"\bINFO\W+fairseq_cli\.eval_lm\W+(\d+) (.*\])$", line)
            if block:
                blocks[int(block[1])] = block[2].split("\t")
        numbers = sorted(blocks)
        pairs = [entry[:-1].rpartition(" [") for number in numbers for entry in blocks[number]]
        logs = np.array([float(value) for _, _, value in pairs])
        tokens = Tokens([word for word, _, _ in pairs], logs)
        return Evaluation(tokens, float(speed[1]), numbers, left_out(log))
