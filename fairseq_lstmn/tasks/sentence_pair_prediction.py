"""Prediction from two sentences, each a sequence of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq.criterions.fairseq_criterion import FairseqCriterion
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
from fairseq_lstmn.tasks.confusion import count_confusions, log_per_class

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
        task: SentencePairPredictionTask = super().setup_task(cfg, **kwargs)
        return task

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
            step: Step = super().valid_step(sample, model, criterion)
            return step
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
