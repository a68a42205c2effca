"""How many parameters the models of a plan have, and hidden sizes that make them equal."""

from dataclasses import dataclass

import numpy as np
import torch
from fairseq import tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_lstmn.comparison.arguments import check_training
from fairseq_lstmn.comparison.quiet import quiet
from fairseq_lstmn.errors import InputError

HIDDEN_SIZES = "encoder-hidden-size", "decoder-hidden-size"
PROBES = 16, 64, 256  # units
NEAR_ENOUGH = 0.01  # of the baseline's parameters


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters that are trained."""

    all: int
    embeddings: int

    @property
    def others(self):
        return self.all - self.embeddings


def count(data, options, section):
    """The Parameters of the model that fairseq-train would build.

    Raises InputError, naming ``section``, if it cannot be built.
    """
    # vectors are read for their values, which do not count here
    options = {name: v for name, v in options.items() if not name.endswith("embed-path")}
    args = check_training(data, options, section)
    try:
        with quiet():
            cfg = convert_namespace_to_omegaconf(args)
            model = tasks.setup_task(cfg.task).build_model(cfg.model)
    except InputError as error:
        raise InputError(f"{section}: {error}") from None
    except Exception as error:  # fairseq checks options and data in many ways
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{section}: no model can be built of it ({reason})") from None
    trained = {id(p): p.numel() for p in model.parameters() if p.requires_grad}
    embedded = {
        id(p): p.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding)
        for p in module.parameters()
        if p.requires_grad
    }
    return Parameters(all=sum(trained.values()), embeddings=sum(embedded.values()))


def match(data, options, wanted, section):
    """Options with hidden sizes for which the model has ``wanted`` parameters within 1%.

    The sizes are those of HIDDEN_SIZES that the architecture has; all are set to the same.
    Raises InputError if there is no such size.
    """
    names = [name for name in HIDDEN_SIZES if _takes(data, options, name, section)]
    if not names:
        raise InputError(f"match: parameters: {section} has no option for its hidden size")

    def parameters(size):
        return count(data, {**options, **dict.fromkeys(names, size)}, section).all

    # weights are products of widths, so the number is a polynomial of second degree in the size
    curve = np.polyfit(PROBES, [parameters(size) for size in PROBES], deg=2)
    roots = np.roots(curve - [0, 0, wanted])
    size = max(1, round(float(max(roots.real))))
    found = parameters(size)
    if abs(found - wanted) > NEAR_ENOUGH * wanted:
        raise InputError(
            f"match: parameters: {section} has {found:,} with {names[0]} {size}, the nearest to"
            f" the baseline's {wanted:,}"
        )
    return dict.fromkeys(names, size)


def _takes(data, options, name, section):
    try:
        check_training(data, {**options, name: 1}, section)
    except InputError:
        return False
    return True
