"""What a kind of task is: the command that scores it, its metrics, what its predictions are.

N predictions, L buckets, K seeds, d statistics a prediction.
"""

import math
import re
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np
from fairseq import options as fairseq_options
from fairseq.models.fairseq_model import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask
from torch import Tensor

from fairseq_lstmn.compare.stats.metrics import Metric, grouped
from fairseq_lstmn.compare.types import Floats, Indices, Options

Sample: TypeAlias = dict[str, Any]  # a batch as fairseq has it
QUANTILES = [0.25, 0.5, 0.75, 1.0]


@dataclass(frozen=True)
class Bucketing:
    """One way to cut the predictions, and a score for each piece.

    Attributes:
        name: by what they are cut.
        labels: of the buckets (L), none of which is empty.
        index: the bucket of every prediction (N).
        excludes: metrics whose score of one bucket means nothing.
    """

    name: str
    labels: list[str]
    index: Indices
    excludes: tuple[str, ...] = ()

    @classmethod
    def occupied(
        cls, name: str, labels: Sequence[str], index: Indices, excludes: tuple[str, ...] = ()
    ) -> "Bucketing":
        """The bucketing without its empty buckets."""
        present, index = np.unique(index, return_inverse=True)
        return cls(name, [labels[number] for number in present], index, excludes)

    @classmethod
    def by_length(cls, name: str, lengths: Indices | Sequence[int]) -> "Bucketing":
        """At most four buckets of lengths (N) in tokens, as equal as whole lengths allow."""
        last = np.unique(np.quantile(lengths, QUANTILES, method="inverted_cdf"))
        first = [np.min(lengths), *(last[:-1] + 1)]
        labels = [f"{low}-{high}" if low < high else f"{high}" for low, high in zip(first, last)]
        return cls(name, labels, np.searchsorted(last, lengths))

    def scores(self, metric: Metric, statistics: Floats) -> list[float | None]:
        """The score of every bucket (L), the mean over seeds of statistics (K, N, d).

        None where it is not finite, as a perplexity is with an impossible word in the bucket.
        """
        sums = np.stack([grouped(seed, self.index) for seed in statistics])
        scores = metric.score(sums).mean(axis=0).tolist()
        return [score if math.isfinite(score) else None for score in scores]


class Predictions(ABC):
    """What a model answered on the test set; of all runs in the same order (N).

    Attributes:
        in_any_blocks: whether a test that is answered whole is its targets alone, whatever examples
            they come in.
    """

    in_any_blocks: ClassVar[bool] = False

    @property
    @abstractmethod
    def targets(self) -> list[Any]:
        """What is right (N), and so the same for every model."""

    def units(self) -> Indices:
        """The unit of resampling of every prediction (N): what is drawn together."""
        return np.arange(len(self.targets))

    @abstractmethod
    def bucketings(self, data: str | None, subset: str) -> list[Bucketing]:
        """Every way to cut the predictions.

        Args:
            data: the folders that the models were trained on (colons between them), None for none.
            subset: the part of them.
        """


class Evaluation(NamedTuple):
    """What a scoring command wrote.

    Attributes:
        items_per_second: how many were scored.
        numbers: of the test examples that were answered, rising: blocks of text, sentences, pairs.
        left_out: how many others were not, as they are longer than the model or the task takes.
    """

    predictions: Predictions
    items_per_second: float
    numbers: Sequence[int]
    left_out: int


class Kind(ABC):
    """How models of a kind of task are scored.

    Attributes:
        task: the class of its tasks.
        metrics: that it has.
        command: that scores, as a user types it.
        parser: makes fairseq's parser of the command.
        subset: its option for the part of the data; a plan may say ``gen-subset`` for all kinds.
        shared: options of a training that it takes, beside those that all commands do.
    """

    task: ClassVar[type[FairseqTask]]
    metrics: ClassVar[tuple[Metric, ...]]
    command: ClassVar[tuple[str, ...]]
    parser: Callable[[], ArgumentParser]
    subset: ClassVar[str] = "gen-subset"
    shared: ClassVar[tuple[str, ...]] = ()

    def check(self, train: Options) -> None:  # noqa: B027
        """Raise InputError for options of all trainings after which there is nothing to score."""

    @abstractmethod
    def output_options(self, folder: Path) -> list[str]:
        """Arguments that make the command write every prediction, into ``folder``."""

    @abstractmethod
    def read(self, folder: Path, log: str) -> Evaluation | None:
        """What it wrote into ``folder`` and into its log; None while that is not all there."""


class ValidatedKind(Kind):
    """A kind scored by ``fairseq-validate``, batch by batch, in the module ``validate``."""

    command = "python", "-m", "fairseq_lstmn.compare.kinds.validate"
    parser = staticmethod(fairseq_options.get_validation_parser)
    subset = "valid-subset"
    shared = ("criterion",)

    def output_options(self, folder: Path) -> list[str]:
        return ["--answers", str(folder / "answers.npz")]

    @abstractmethod
    def classes(self, task: Any) -> list[str]:
        """The names of all answers there are (C)."""

    @abstractmethod
    def record(
        self, task: Any, sample: Sample, model: BaseFairseqModel, output: Any
    ) -> dict[str, Tensor]:
        """Of a batch, by name: ``numbers`` (N) of the examples, and what ``predictions`` needs."""

    @abstractmethod
    def predictions(self, arrays: Mapping[str, Any]) -> Predictions:
        """From what was recorded of all batches, and ``classes`` (C)."""

    def read(self, folder: Path, log: str) -> Evaluation | None:
        path = folder / "answers.npz"
        if not path.exists():
            return None
        with np.load(path) as arrays:
            numbers = np.unique(arrays["numbers"]).tolist()
            speed = float(arrays["items_per_second"])
            return Evaluation(self.predictions(arrays), speed, numbers, left_out(log))


def left_out(log: str) -> int:
    """How many examples fairseq says that it skips, as they are too long; the last time it ran."""
    counts = re.findall(r"([\d,]+) samples have invalid sizes and will be skipped", log)
    return int(counts[-1].replace(",", "")) if counts else 0


KINDS: list[Kind] = []
_Kind = TypeVar("_Kind", bound=type[Kind])


def register(kind: _Kind) -> _Kind:
    """A decorator that makes a kind one that is compared."""
    KINDS.append(kind())
    return kind


def kind_of(task: type[FairseqTask]) -> Kind | None:
    """The kind of the tasks of a class, of several the nearest; None if there is none."""
    kinds = [kind for kind in KINDS if issubclass(task, kind.task)]
    return min(kinds, key=lambda kind: task.__mro__.index(kind.task), default=None)
