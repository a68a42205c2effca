"""The models of a plan, built: their parameters, sizes that match, and examples too long for them.

What cannot be trained or compared is known before anything is.
"""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from fairseq import tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask
from numpy.polynomial import Polynomial
from omegaconf import OmegaConf, open_dict

from fairseq_lstmn.compare.plan.options import check_training
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.quiet import quiet
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.data.lengths import see_options
from fairseq_lstmn.errors import InputError

# what is set to match parameters: the first of these sizes that an architecture has
SIZES = {
    "hidden size": ("encoder-hidden-size", "decoder-hidden-size"),
    "feed-forward width": ("encoder-ffn-embed-dim", "decoder-ffn-embed-dim"),
}
PROBES = 17, 67, 257  # units, no widths that outputs usually have
ROUNDING = 0.01  # of coefficients, which count weights
NEAR_ENOUGH = 0.01  # of the baseline's parameters
SKIP = "skip-invalid-size-inputs-valid-test"


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters that are trained."""

    all: int
    embeddings: int

    @property
    def others(self) -> int:
        return self.all - self.embeddings


class ModelBuilder:
    """Builds the model that fairseq-train would build, and counts its parameters.

    Args:
        data, options: as of fairseq-train.
        section: of the plan, named in errors.

    Attributes:
        task: of the model.

    Raises InputError if there can be no such model.
    """

    def __init__(self, data: str | None, options: Options, section: str) -> None:
        self._section = section
        # vectors are read for their values, which do not count here
        options = {name: v for name, v in options.items() if not name.endswith("embed-path")}
        args = check_training(data, options, section)
        with quiet(), self._in_one_line():
            self._cfg = convert_namespace_to_omegaconf(args)
            self.task: FairseqTask = tasks.setup_task(self._cfg.task)

    def count(self, sizes: Mapping[str, int] | None = None) -> Parameters:
        """The Parameters, with other ``sizes``, a dict of options."""
        model = self.model(sizes)
        embeddings = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
        return Parameters(trainable([model]), trainable(embeddings))

    def model(self, sizes: Mapping[str, int] | None = None) -> BaseFairseqModel:
        """The model itself, with other ``sizes``, a dict of options."""
        cfg = copy.deepcopy(self._cfg.model)
        # a dataclass does not name all options of its architectures; a Namespace is open
        opened = open_dict(cfg) if OmegaConf.is_config(cfg) else contextlib.nullcontext()
        with quiet(), self._in_one_line(), opened:
            for name, size in (sizes or {}).items():
                setattr(cfg, name.replace("-", "_"), size)
            model: BaseFairseqModel = self.task.build_model(cfg)
        return model

    @contextlib.contextmanager
    def _in_one_line(self) -> Iterator[None]:
        """fairseq checks options and data in many ways."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._section}: {error}") from None
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(f"{self._section}: no model can be built of it ({reason})") from None


def trainable(modules: Iterable[torch.nn.Module]) -> int:
    """How many numbers are trained in modules, shared ones counted once."""
    sizes = {id(p): p.numel() for m in modules for p in m.parameters() if p.requires_grad}
    return sum(sizes.values())


def match(data: str | None, options: Options, target: int, section: str) -> dict[str, int]:
    """Options with sizes for which the model has ``target`` parameters within 1%.

    They are those of the first of SIZES that the architecture has; all are set to the same.
    Raises InputError if there is no such size.
    """
    sizes = ([n for n in names if takes(data, options, n, section)] for names in SIZES.values())
    names = next(filter(None, sizes), None)
    if names is None:
        raise InputError(
            f"match: parameters: {section} has no option for its {' or its '.join(SIZES)}"
        )
    builder = ModelBuilder(data, {**options, **dict.fromkeys(names, PROBES[0])}, section)

    def parameters(size: int) -> int:
        return builder.count(dict.fromkeys(names, size)).all

    # weights are products of widths, so the number is a polynomial in the size: of second degree,
    # or of first where the size is one side of a weight only; what is below ROUNDING is none
    counted = [parameters(size) for size in PROBES]
    curve = Polynomial.fit(PROBES, counted, deg=2).convert().trim(ROUNDING)
    middle = max(2, round(max((curve - target).roots().real, default=0.0)))
    # one size may be apart: the model's output width, where it needs no projection to it
    counts = {size: parameters(size) for size in range(middle - 1, middle + 2)}
    size = min(counts, key=lambda size: abs(counts[size] - target))
    if abs(counts[size] - target) > NEAR_ENOUGH * target:
        raise InputError(
            f"match: parameters: {section} has {counts[size]:,} with {names[0]} {size}, the nearest"
            f" to the baseline's {target:,}"
        )
    return dict.fromkeys(names, size)


def takes(data: str | None, options: Options, name: str, section: str) -> bool:
    """Whether the architecture has this option, a number."""
    try:
        check_training(data, {**options, name: 1}, section)
    except InputError:
        return False
    return True


class Reader(NamedTuple):
    """A task of a model; ``limit`` is of both together, as fairseq has it, None for none."""

    task: FairseqTask
    limit: Any


class TooLong(NamedTuple):
    """Of a part of the data, by model: its examples, and the numbers of those too long."""

    part: str
    examples: Mapping[str, int]
    numbers: Mapping[str, frozenset[int]]


def check_lengths(
    plan: Plan, builders: Mapping[str, ModelBuilder], subsets: Mapping[str, str], own: Options
) -> list[str]:
    """Hold every part of the data against the limits of every model.

    Args:
        builders: of every model's training.
        subsets: the parts by what they are for: train, valid, test.
        own: options of the task that are others in the scoring.

    Returns a sentence if fairseq leaves the same examples out of all trainings.
    Raises InputError where it would end a validation or leave out test examples, unless the plan
    says that they are to be skipped; and where models would be trained on different examples.
    """
    training, scoring = {}, {}
    for name, builder in builders.items():
        limit, task = builder.model().max_positions(), builder.task
        training[name] = Reader(task, utils.resolve_max_positions(task.max_positions(), limit))
        if own:
            options = {**plan.options(name), **own}
            task = ModelBuilder(plan.data, options, f"models.{name}, score").task
        scoring[name] = Reader(task, utils.resolve_max_positions(task.max_positions(), limit))
    skipping = bool(plan.train.get(SKIP))
    for part in subsets["valid"].split(","):
        refuse(too_long(training, part), training, skipping)
    for part in subsets["test"].split(","):
        refuse(too_long(scoring, part), scoring, bool(plan.score.get(SKIP, skipping)))
    trained_on = too_long(training, subsets["train"], combine=True)
    refuse(trained_on, training, skipping=True)
    return left_out_of_all(trained_on, training)


def too_long(readers: Mapping[str, Reader], part: str, combine: bool = False) -> TooLong:
    """What each model does not take of a part, as its task loads it."""
    examples, numbers = {}, {}
    for name, (task, limit) in readers.items():
        with quiet():
            task.load_dataset(part, combine=combine)
        dataset = task.dataset(part)
        everything = np.arange(len(dataset))
        left_out = [] if limit is None else dataset.filter_indices_by_size(everything, limit)[1]
        examples[name], numbers[name] = len(dataset), frozenset(left_out)
    return TooLong(part, examples, numbers)


def refuse(part: TooLong, readers: Mapping[str, Reader], skipping: bool) -> None:
    """Raise InputError for a model that does not take all; where it may skip some, for one that
    takes none."""
    for name, numbers in part.numbers.items():
        examples = part.examples[name]
        if numbers and (not skipping or len(numbers) == examples):
            task, limit = readers[name]
            skip = "" if skipping else f", or leave them out by {SKIP}"
            raise InputError(
                f"models.{name}: {len(numbers):,} of {examples:,} examples of {part.part!r}"
                f" are longer than max_positions={limit}{see_options(task)}{skip}"
            )


def left_out_of_all(part: TooLong, readers: Mapping[str, Reader]) -> list[str]:
    """A sentence if models leave out some of a part. Raises InputError if not all the same."""
    numbers, *others = set(part.numbers.values())
    if others:
        counts = ", ".join(
            f"{name} {len(numbers):,}{see_options(readers[name].task)}"
            for name, numbers in part.numbers.items()
        )
        raise InputError(
            f"train: models leave out different examples of {part.part!r} that are too long"
            f" ({counts})"
        )
    examples = next(iter(part.examples.values()))
    left = f"{examples - len(numbers):,} of {examples:,} examples of {part.part!r}"
    return [f"Trained on {left}; the others are too long."] if numbers else []
