"""Prediction from two sentences, each a sequence of its own.

B batch, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fairseq.criterions.fairseq_criterion import FairseqCriterion
from fairseq.logging import metrics
from fairseq.logging.meters import MetersDict
from fairseq.models import BaseFairseqModel
from fairseq.tasks import register_task
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask
from omegaconf import DictConfig
from torch import Tensor

from fairseq_lstmn.data import Sample
from fairseq_lstmn.data.datasets import SentencePairs
from fairseq_lstmn.data.labels import classes
from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.errors import InputError

Step = tuple[Tensor, int, dict[str, Any]]  # loss, sample size, what is logged


@dataclass
class SentencePairPredictionConfig(SentencePredictionConfig):
    """fairseq's ``sentence_prediction`` with a report, and without a limit unless it is set."""

    max_positions: int = field(
        default=UNLIMITED,
        metadata={"help": "max tokens of both sentences together (default: any number)"},
    )
    report_per_class: bool = field(
        default=False,
        metadata={"help": "precision, recall, F1 and confusions of every class at validation"},
    )


@register_task("sentence_pair_prediction", dataclass=SentencePairPredictionConfig)
class SentencePairPredictionTask(SentencePredictionTask):
    """fairseq's ``sentence_prediction`` on DATA/input0 and DATA/input1 as two sequences.

    Models get right-padded premises as ``src_tokens`` and hypotheses as ``hypothesis_tokens``,
    where fairseq's task joins them to one.
    """

    cfg: SentencePairPredictionConfig
    sentences = 2  # in an example

    @classmethod
    def setup_task(cls, cfg: DictConfig, **kwargs: Any) -> "SentencePairPredictionTask":
        """Raises InputError for options under which a pair cannot be told apart."""
        if str(cfg.shorten_method) != "none":
            raise InputError(
                f"--shorten-method {cfg.shorten_method}: cuts the hypothesis off; not with "
                "--task sentence_pair_prediction"
            )
        if cfg.report_per_class and cfg.regression_target:
            raise InputError("--report-per-class: not with --regression-target, without classes")
        return super().setup_task(cfg, **kwargs)

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> None:
        """fairseq's, its pairs apart again. Raises InputError for a missing second sentence."""
        second = Path(self.cfg.data, "input1", f"{split}.idx")
        if not second.exists():
            raise InputError(f"{second}: no such file; the task reads pairs, input0 and input1")
        super().load_dataset(split, *args, **kwargs)
        self.datasets[split] = SentencePairs(self.datasets[split], self.source_dictionary)

    def valid_step(
        self, sample: Sample, model: BaseFairseqModel, criterion: FairseqCriterion
    ) -> Step:
        """fairseq's; with ``--report-per-class`` the log counts which class was taken for which."""
        if not self.cfg.report_per_class:
            return super().valid_step(sample, model, criterion)
        scores: list[Tensor] = []
        head = model.get_submodule(f"classification_heads.{self.cfg.classification_head_name}")
        hook = head.register_forward_hook(lambda module, inputs, output: scores.append(output))
        try:
            loss, sample_size, log = super().valid_step(sample, model, criterion)
        finally:
            hook.remove()
        log.update(count_confusions(scores[0], sample["target"], classes(self)))
        return loss, sample_size, log

    def reduce_metrics(
        self, logging_outputs: Sequence[Mapping[str, Any]], criterion: FairseqCriterion
    ) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        if self.cfg.report_per_class:
            log_per_class(logging_outputs, classes(self))


def cell_names(classes: Sequence[str]) -> list[str]:
    """The cells of the confusion matrix row by row, by names that fairseq does not print."""
    return [f"_{right} as {taken}" for right in classes for taken in classes]


def count_confusions(scores: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    """Log entries with how often each class was taken for each, from scores (B, C) and targets."""
    cells = targets.view(-1) * len(classes) + scores.argmax(dim=1)
    return dict(zip(cell_names(classes), torch.bincount(cells, minlength=len(classes) ** 2)))


def log_per_class(logging_outputs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> None:
    """Log the counts, and what follows from their sums, in percent."""
    cells = cell_names(classes)
    if not any(cells[0] in log for log in logging_outputs):
        return
    for cell in cells:
        metrics.log_scalar_sum(cell, sum(int(log.get(cell, 0)) for log in logging_outputs))
    for number in range(len(classes)):
        for name, metric in metrics_of_class(number, classes).items():
            metrics.log_derived(name, partial(from_meters, metric, classes))


def from_meters(metric: Callable[[Tensor], Any], classes: Sequence[str], meters: MetersDict) -> Any:
    """A metric of the counts so far."""
    counts = [int(meters[cell].sum) for cell in cell_names(classes)]
    return metric(torch.tensor(counts).view(len(classes), -1))


def metrics_of_class(number: int, classes: Sequence[str]) -> dict[str, Callable[[Tensor], Any]]:
    """Metrics by name of a confusion matrix (C, C), right class by class taken.

    The last is a text, which fairseq prints as it does a number.
    """
    k, name = number, classes[number]
    return {
        f"precision {name}": lambda matrix: percent(matrix[k, k], matrix[:, k].sum()),
        f"recall {name}": lambda matrix: percent(matrix[k, k], matrix[k].sum()),
        f"F1 {name}": lambda matrix: percent(
            2 * matrix[k, k], matrix[k].sum() + matrix[:, k].sum()
        ),
        f"{name} taken for": lambda matrix: ", ".join(
            f"{taken} {count}" for taken, count in zip(classes, matrix[k].tolist())
        ),
    }


def percent(part: Tensor, whole: Tensor) -> float:
    return round(100 * int(part) / int(whole), 1) if whole else 0.0
