"""Associative recall: the value at every question. N questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from fairseq.models.fairseq_model import BaseFairseqModel
from torch import Tensor

from fairseq_lstmn.compare.kinds.kind import (
    Bucketing,
    Predictions,
    Sample,
    ValidatedKind,
    register,
)
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.compare.types import Flags, Floats, Indices
from fairseq_lstmn.tasks.recall import RecallTask


@dataclass(frozen=True)
class Recalled(Predictions):
    """Every question, example by example.

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
    def targets(self) -> list[str]:
        return self.values

    def units(self) -> Indices:
        """The example."""
        return np.unique(self.examples, return_inverse=True)[1]

    def bucketings(self, data: str | None, subset: str) -> list[Bucketing]:
        return [Bucketing.by_length("tokens from the value to its question", self.distances)]


@register
class Recall(ValidatedKind):
    """A prediction a question: its ``labels``, and what ``Recalled`` has of them."""

    task = RecallTask
    metrics = METRICS["accuracy"], METRICS["perplexity"]

    def classes(self, task: Any) -> list[str]:
        symbols: list[str] = task.target_dictionary.symbols
        return symbols

    def record(
        self, task: Any, sample: Sample, model: BaseFairseqModel, output: Any
    ) -> dict[str, Tensor]:
        tokens, targets = sample["net_input"]["src_tokens"], sample["target"]
        rows, questions = targets.ne(task.target_dictionary.pad()).nonzero(as_tuple=True)
        same_key = tokens[rows].eq(tokens[rows, questions, None])
        values = same_key.int().argmax(dim=1) + 1  # behind the first occurrence of the key
        labels = targets[rows, questions]
        scores = model.get_normalized_probs(output, log_probs=True)[rows, questions]
        return {
            "numbers": sample["id"][rows],
            "labels": labels,
            "distances": questions - values,
            "right": scores.argmax(dim=1) == labels,
            "log_probabilities": scores.gather(1, labels[:, None])[:, 0],
        }

    def predictions(self, arrays: Mapping[str, Any]) -> Recalled:
        values = arrays["classes"][arrays["labels"]].tolist()
        fields = ("numbers", "distances", "right", "log_probabilities")
        return Recalled(values, *(arrays[name] for name in fields))
