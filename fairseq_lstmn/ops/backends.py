"""Which implementations of the recurrence there are, which can run, and which is taken."""

import logging
from typing import Callable, NamedTuple, Optional

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import cpp, recompute, reference, triton

logger = logging.getLogger(__name__)


class Backend(NamedTuple):
    """``steps`` computes a layer (see ``reference.steps``); ``obstacle`` says why it cannot."""

    steps: Callable
    obstacle: Callable[[torch.device], Optional[str]]
    why: str  # what speaks for it, for the log line of ``auto``


def runs_anywhere(device):
    return None


# fastest first: ``auto`` takes the first that can run
BACKENDS = {
    "cpp": Backend(cpp.steps, cpp.obstacle, "compiled for this machine"),
    "triton": Backend(triton.steps, triton.obstacle, "compiled for this device by Triton"),
    "recompute": Backend(
        recompute.steps, runs_anywhere, "linear memory in plain torch, on any device"
    ),
    "reference": Backend(reference.steps, runs_anywhere, "the equations by plain autograd"),
}
NAMES = ("auto", *BACKENDS)
_announced = set()


def report(device="cpu"):
    """``[(name, None or the reason why it cannot run on ``device``)]``, fastest first."""
    device = torch.device(device)
    return [(name, backend.obstacle(device)) for name, backend in BACKENDS.items()]


def choose(name, device):
    """The name of the backend to run: ``name`` itself, or the fastest able one for ``auto``.

    Raises InputError for an unknown backend and for a named one that cannot run.
    """
    known(name)
    if name == "auto":
        return _fastest(torch.device(device))
    obstacle = BACKENDS[name].obstacle(torch.device(device))
    if obstacle:
        raise InputError(f"recurrence backend {name!r} cannot run on {device}: {obstacle}")
    return name


# as torch.compiler.assume_constant_result has it, which takes two seconds to import a compiler
choose._dynamo_marked_constant = True


def known(name):
    """Raise InputError unless ``name`` is "auto" or a backend's."""
    if name not in NAMES:
        raise InputError(f"recurrence backend {name!r} is unknown, choose from {', '.join(NAMES)}")


def _fastest(device):
    name = next(name for name, obstacle in report(device) if obstacle is None)
    if (name, device.type) not in _announced:
        _announced.add((name, device.type))
        logger.info("recurrence backend on %s: %s (%s)", device.type, name, BACKENDS[name].why)
    return name
