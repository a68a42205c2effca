"""How many parameters the models of a plan have, and hidden sizes that make them equal."""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairseq import tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask
from omegaconf import OmegaConf, open_dict

from fairseq_lstmn.compare.plan.options import check_training
from fairseq_lstmn.compare.quiet import quiet
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.errors import InputError

HIDDEN_SIZES = "encoder-hidden-size", "decoder-hidden-size"
PROBES = 17, 67, 257  # units, no widths that outputs usually have
NEAR_ENOUGH = 0.01  # of the baseline's parameters


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
        with quiet(), self._reported():
            self._cfg = convert_namespace_to_omegaconf(args)
            self.task: FairseqTask = tasks.setup_task(self._cfg.task)

    def count(self, sizes: Mapping[str, int] | None = None) -> Parameters:
        """The Parameters, with other ``sizes``, a dict of options."""
        model = self.model(sizes)
        embeddings = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
        return Parameters(trainable([model]), trainable(embeddings))

    def model(self, sizes: Mapping[str, int] | None = None) -> BaseFairseqModel:
        """The model itself, with other ``sizes``, a dict of options."""
        model_cfg = copy.deepcopy(self._cfg.model)
        with quiet(), self._reported(), opened(model_cfg):
            for name, size in (sizes or {}).items():
                setattr(model_cfg, name.replace("-", "_"), size)
            model: BaseFairseqModel = self.task.build_model(model_cfg)
        return model

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """fairseq checks options and data in many ways: all end in one line."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{self._section}: {error}") from None
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(f"{self._section}: no model can be built of it ({reason})") from None


def opened(cfg: Any) -> AbstractContextManager[Any]:
    """Lets options be set that a config of a dataclass does not name; a Namespace is open."""
    return open_dict(cfg) if OmegaConf.is_config(cfg) else contextlib.nullcontext()


def trainable(modules: Iterable[torch.nn.Module]) -> int:
    """How many numbers are trained in modules, shared ones counted once."""
    sizes = {id(p): p.numel() for m in modules for p in m.parameters() if p.requires_grad}
    return sum(sizes.values())


def match(data: str | None, options: Options, target: int, section: str) -> dict[str, int]:
    """Options with hidden sizes for which the model has ``target`` parameters within 1%.

    The sizes are those of HIDDEN_SIZES that the architecture has; all are set to the same.
    Raises InputError if there is no such size.
    """
    names = [name for name in HIDDEN_SIZES if takes(data, options, name, section)]
    if not names:
        raise InputError(f"match: parameters: {section} has no option for its hidden size")
    builder = ModelBuilder(data, {**options, **dict.fromkeys(names, PROBES[0])}, section)

    def parameters(size: int) -> int:
        return builder.count(dict.fromkeys(names, size)).all

    # weights are products of widths, so the number is a polynomial of second degree in the size
    curve = np.polyfit(PROBES, [parameters(size) for size in PROBES], deg=2)
    roots = np.roots(curve - [0, 0, target])
    middle = max(2, round(float(max(roots.real))))
    # one size may be apart: the model's output width, where it needs no projection to it
    count, size = min(
        ((parameters(size), size) for size in range(middle - 1, middle + 2)),
        key=lambda entry: abs(entry[0] - target),
    )
    if abs(count - target) > NEAR_ENOUGH * target:
        raise InputError(
            f"match: parameters: {section} has {count:,} with {names[0]} {size}, the nearest to"
            f" the baseline's {target:,}"
        )
    return dict.fromkeys(names, size)


def takes(data: str | None, options: Options, name: str, section: str) -> bool:
    """Whether the architecture has this option, a number."""
    try:
        check_training(data, {**options, name: 1}, section)
    except InputError:
        return False
    return True
