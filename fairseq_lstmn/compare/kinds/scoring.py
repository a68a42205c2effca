"""The commands that score, one for each kind of task, and the options they are given."""

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from fairseq import options as fairseq_options
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from fairseq.tasks.fairseq_task import FairseqTask
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.tasks.translation import TranslationTask

from fairseq_lstmn.compare.kinds.items import Scored
from fairseq_lstmn.compare.kinds.outputs import (
    read_answers,
    read_recalled,
    read_tokens,
    read_translations,
)
from fairseq_lstmn.compare.plan.arguments import DEFAULT_TASK
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.recall import RecallTask

# of the options of a training, those that hold for a scoring as well, beside the task's own
SHARED = (
    *("task", "user-dir", "cpu", "batch-size", "max-tokens", "required-batch-size-multiple"),
    *("num-workers", "data-buffer-size", "skip-invalid-size-inputs-valid-test"),
)


@dataclass(frozen=True)
class Scoring:
    """A command that scores, for the tasks of a kind.

    Attributes:
        command: as a user types it.
        task: class of the tasks it is for.
        metrics: their names.
        subset: its option that names the part of the data; the plan may say ``gen-subset`` for all.
        parser: makes fairseq's parser of the command.
        extra: arguments that make it write every item into a folder.
        read: (folder, log's text) -> (items, items a second), None while unfinished.
    """

    command: tuple[str, ...]
    task: type[FairseqTask]
    metrics: tuple[str, ...]
    subset: str
    parser: Callable[[], ArgumentParser]
    extra: Callable[[Path], list[str]]
    read: Callable[[Path, str], Scored | None]


def scoring_of(plan: Plan, task: str) -> Scoring:
    """The Scoring for a plan's metrics. Raises InputError if ``task`` does not have one of them."""
    found = [scoring for scoring in SCORINGS if issubclass(TASK_REGISTRY[task], scoring.task)]
    for metric in plan.metrics:
        if not found or metric not in found[0].metrics:
            has = f"it has {', '.join(found[0].metrics)}" if found else "it has none of them"
            raise InputError(f"score.metric: {metric}: not for the task {task} ({has})")
    if plan.train.get("regression-target"):
        raise InputError(
            f"train.regression-target: true: score.metric {plan.metrics[0]} is of classes, and "
            "there is no other for numbers"
        )
    [scoring] = found
    return scoring


def score_options(scoring: Scoring, training: Options, given: Options) -> Options:
    """The options of a scoring: those of the training that it shares, then ``given``."""
    own = task_options(training.get("task", DEFAULT_TASK))
    shared = {*SHARED, *own, *(["criterion"] if scoring.subset == "valid-subset" else [])}
    options = {name: value for name, value in training.items() if name in shared}
    options.update(given)
    options[scoring.subset] = options.pop("gen-subset", options.get(scoring.subset, "test"))
    return options


def task_options(task: str) -> set[str]:
    """The names of a task's options; none for one without a dataclass."""
    config = TASK_DATACLASS_REGISTRY.get(task)
    return {field.name.replace("_", "-") for field in fields(config)} if config else set()


kept_by_validate = partial(
    Scoring,
    command=("python", "-m", "fairseq_lstmn.compare.kinds.validate"),
    subset="valid-subset",
    parser=fairseq_options.get_validation_parser,
    extra=lambda folder: ["--answers", str(folder / "answers.npz")],
)
SCORINGS = (
    Scoring(
        command=("fairseq-eval-lm",),
        task=LanguageModelingTask,
        metrics=("perplexity",),
        subset="gen-subset",
        parser=fairseq_options.get_eval_lm_parser,
        extra=lambda folder: ["--output-word-probs"],
        read=read_tokens,
    ),
    Scoring(
        command=("fairseq-generate",),
        task=TranslationTask,
        metrics=("bleu", "chrf", "exact-match"),
        subset="gen-subset",
        parser=fairseq_options.get_generation_parser,
        extra=lambda folder: ["--results-path", str(folder)],
        read=read_translations,
    ),
    kept_by_validate(
        task=SentencePredictionTask, metrics=("accuracy", "macro-f1"), read=read_answers
    ),
    kept_by_validate(task=RecallTask, metrics=("accuracy", "perplexity"), read=read_recalled),
)
