"""Classification of a sentence or a pair: the probability of every class. N examples, C classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from fairseq.models.fairseq_model import BaseFairseqModel
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from torch import Tensor

from fairseq_lstmn.compare.kinds.kind import (
    Bucketing,
    Predictions,
    Sample,
    ValidatedKind,
    register,
)
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.compare.types import Flags, Floats, Indices, Options
from fairseq_lstmn.data.labels import classes
from fairseq_lstmn.errors import InputError


@dataclass(frozen=True)
class Answers(Predictions):
    """Every example.

    Attributes:
        classes: their names (C).
        probabilities: of every class (N, C).
        labels: the number of the right class (N).
        lengths: tokens of its one or two sentences together (N).
    """

    classes: list[str]
    probabilities: Floats
    labels: Indices
    lengths: Indices

    @property
    def targets(self) -> list[int]:
        labels: list[int] = self.labels.tolist()
        return labels

    @property
    def right(self) -> Flags:
        """Whether the likeliest class is the right one (N)."""
        right: Flags = self.probabilities.argmax(axis=1) == self.labels
        return right

    def bucketings(self, data: str | None, subset: str) -> list[Bucketing]:
        return [
            Bucketing.by_length("length", self.lengths),
            # no mean over classes within one
            Bucketing.occupied("class", self.classes, self.labels, excludes=("macro-f1",)),
        ]


@register
class Classification(ValidatedKind):
    """A prediction an example, its ``labels``, ``probabilities`` and ``lengths``."""

    task = SentencePredictionTask
    metrics = METRICS["accuracy"], METRICS["macro-f1"]

    def check(self, train: Options) -> None:
        if train.get("regression-target"):
            raise InputError(
                "train.regression-target: true: score.metric is of classes, and there is no other "
                "for numbers"
            )

    def classes(self, task: Any) -> list[str]:
        return classes(task)

    def record(
        self, task: Any, sample: Sample, model: BaseFairseqModel, output: Any
    ) -> dict[str, Tensor]:
        pad = task.source_dictionary.pad()
        texts = [part for part in sample["net_input"].values() if part.dim() == 2]
        return {
            "numbers": sample["id"],
            "labels": sample["target"].view(-1),
            "probabilities": output[0].float().softmax(dim=1),
            "lengths": torch.stack([text.ne(pad).sum(dim=1) for text in texts]).sum(dim=0),
        }

    def predictions(self, arrays: Mapping[str, Any]) -> Answers:
        names = [str(name) for name in arrays["classes"]]
        return Answers(names, arrays["probabilities"], arrays["labels"], arrays["lengths"])
