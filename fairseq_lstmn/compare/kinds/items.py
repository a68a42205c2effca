"""What a model answered on every item of the test set, one class for each kind of scoring.

N items, C classes. The items of all runs that are compared are the same, in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from fairseq_lstmn.compare.types import Flags, Floats, Indices


@dataclass(frozen=True)
class Tokens:
    """Of a language model: every token that was scored, in the order of the text.

    Attributes:
        words: the token (N), strings.
        log_probabilities: its natural logarithm (N).
    """

    words: list[str]
    log_probabilities: Floats

    @property
    def asked(self) -> list[str]:
        """What every model has to answer (N)."""
        return self.words


@dataclass(frozen=True)
class Translations:
    """Of an encoder-decoder: every sentence, source, output and reference as text (N)."""

    sources: list[str]
    hypotheses: list[str]
    references: list[str]

    @property
    def asked(self) -> list[str]:
        """What every model has to answer (N)."""
        return self.references


@dataclass(frozen=True)
class Answers:
    """Of a classifier: every example.

    Attributes:
        classes: the names of the classes (C).
        probabilities: of every class (N, C).
        labels: the number of the right class (N).
        lengths: tokens of its one or two sentences together (N).
    """

    classes: list[str]
    probabilities: Floats
    labels: Indices
    lengths: Indices

    @property
    def asked(self) -> list[int]:
        """What every model has to answer (N)."""
        labels: list[int] = self.labels.tolist()
        return labels

    @property
    def right(self) -> Flags:
        """Whether the likeliest class is the right one (N)."""
        right: Flags = self.probabilities.argmax(axis=1) == self.labels
        return right


@dataclass(frozen=True)
class Recalled:
    """Of the task recall: every question, example by example.

    Attributes:
        values: what is right (N), strings.
        examples: the number of the example that a question is of (N), rising.
        distances: tokens from the value to its question (N).
        right: whether the likeliest symbol is the right one (N).
        log_probabilities: of the right one, natural logarithms (N).
    """

    values: list[str]
    examples: Indices
    distances: Indices
    right: Flags
    log_probabilities: Floats

    @property
    def asked(self) -> list[str]:
        """What every model has to answer (N)."""
        return self.values


Items: TypeAlias = Tokens | Translations | Answers | Recalled


class Scored(NamedTuple):
    """What came of a scoring.

    Attributes:
        items_per_second: how many were scored.
        numbers: of the test examples that were answered, rising: blocks of text, sentences, pairs.
        left_out: how many others were not, as they are longer than the model or the task takes.
    """

    items: Items
    items_per_second: float
    numbers: Sequence[int]
    left_out: int
