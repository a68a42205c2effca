"""Examples that are longer than a model takes: found before anything is trained."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from fairseq import utils
from fairseq.data import FairseqDataset
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.compare.plan.parameters import ModelBuilder
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.quiet import quiet
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.data.lengths import see_options
from fairseq_lstmn.errors import InputError

SKIP = "skip-invalid-size-inputs-valid-test"


class Reader(NamedTuple):
    """A model with its task; ``limit`` is both together, as fairseq has it, None for none."""

    task: FairseqTask
    limit: Any


class TooLong(NamedTuple):
    """Of a part of the data: the numbers of the examples that are too long, by model."""

    part: str
    examples: int
    by_model: Mapping[str, frozenset[int]]


def check(
    plan: Plan,
    builders: Mapping[str, ModelBuilder],
    subsets: Mapping[str, str],
    scored_with: Options,
) -> list[str]:
    """Hold every part of the data against the limits of every model.

    Args:
        builders: of every model's training.
        subsets: the parts by what they are for: train, valid, test.
        scored_with: options of the task that are others in the scoring.

    Returns a sentence for each part of which fairseq leaves the same examples out of all trainings.
    Raises InputError where it would end a validation or leave out test examples, unless the plan
    says that they are to be skipped; and where models would be trained on different examples.
    """
    training = {name: reader(builder, builder.task) for name, builder in builders.items()}
    scoring = training
    if scored_with:
        scoring = {
            name: reader(builder, scoring_task(plan, name, scored_with))
            for name, builder in builders.items()
        }
    skipping = bool(plan.train.get(SKIP))
    for part in subsets["valid"].split(","):
        refuse(too_long(training, part), training, skipping)
    for part in subsets["test"].split(","):
        refuse(too_long(scoring, part), scoring, bool(plan.score.get(SKIP, skipping)))
    trained_on = too_long(training, subsets["train"], combine=True)
    refuse(trained_on, training, skipping=True)
    return left_out_of_all(trained_on, training)


def scoring_task(plan: Plan, model: str, scored_with: Options) -> FairseqTask:
    options = {**plan.options(model), **scored_with}
    return ModelBuilder(plan.data, options, f"models.{model}, score").task


def reader(builder: ModelBuilder, task: FairseqTask) -> Reader:
    """The Reader of a model that is trained and a task."""
    own = builder.model().max_positions()
    return Reader(task, utils.resolve_max_positions(task.max_positions(), own))


def too_long(by_model: Mapping[str, Reader], part: str, combine: bool = False) -> TooLong:
    """What each model does not take of a part, which all their tasks load alike."""
    reader, *_ = by_model.values()
    with quiet():
        reader.task.load_dataset(part, combine=combine)
    dataset = reader.task.dataset(part)
    numbers = {name: beyond(dataset, reader.limit) for name, reader in by_model.items()}
    return TooLong(part, len(dataset), numbers)


def beyond(dataset: FairseqDataset, limit: Any) -> frozenset[int]:
    """The numbers of the examples beyond a limit."""
    if limit is None:
        return frozenset()
    return frozenset(dataset.filter_indices_by_size(np.arange(len(dataset)), limit)[1])


def refuse(part: TooLong, by_model: Mapping[str, Reader], skipping: bool) -> None:
    """Raise InputError for a model that does not take all; where it may skip some, for one that
    takes none."""
    for name, numbers in part.by_model.items():
        if numbers and (not skipping or len(numbers) == part.examples):
            task, limit = by_model[name]
            skip = "" if skipping else f", or leave them out by {SKIP}"
            raise InputError(
                f"models.{name}: {len(numbers):,} of {part.examples:,} examples of {part.part!r}"
                f" are longer than max_positions={limit}{see_options(task)}{skip}"
            )


def left_out_of_all(part: TooLong, by_model: Mapping[str, Reader]) -> list[str]:
    """A sentence if models leave out some of a part. Raises InputError if not all the same."""
    if len(set(part.by_model.values())) > 1:
        counts = ", ".join(
            f"{name} {len(numbers):,}{see_options(by_model[name].task)}"
            for name, numbers in part.by_model.items()
        )
        raise InputError(
            f"train: models leave out different examples of {part.part!r} that are too long"
            f" ({counts})"
        )
    [numbers] = set(part.by_model.values())
    if not numbers:
        return []
    return [
        f"Trained on {part.examples - len(numbers):,} of {part.examples:,} examples of"
        f" {part.part!r}; the others are too long."
    ]
