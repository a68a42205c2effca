"""Which implementations of the recurrence there are, which can run, and which is taken."""

import logging
import platform
from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import NamedTuple

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import cpp, reference, selfcheck, triton
from fairseq_lstmn.ops.passes import autograd
from fairseq_lstmn.ops.passes.inputs import Inputs, Results

logger = logging.getLogger(__name__)


class Backend(NamedTuple):
    """``layer`` computes one (see ``reference.layer``); ``obstacle`` says why it cannot."""

    layer: Callable[[Inputs], Results]
    obstacle: Callable[[torch.device], str | None]
    why: str  # what speaks for it, for the log line of ``auto``
    on_trial: bool = False  # whether ``auto`` takes it only where ``selfcheck`` finds no fault
    reads_authors: bool = False  # whether rows of a ``Cache`` may share slots in inference


def runs_anywhere(device: torch.device) -> None:
    """No obstacle."""


def by_triton(inputs: Inputs) -> Results:
    """A layer that launches recorded CUDA graphs, which a compiler has no use for."""
    if not inputs.query_inputs.is_cuda or torch.compiler.is_compiling():
        return autograd.layer("triton_eager", inputs)
    return in_graphs("triton", "triton_eager", inputs)


def in_graphs(recorded: str, eager: str, inputs: Inputs) -> Results:
    """A layer by the kernels ``recorded``, or ``eager`` where its tape stands in a cache.

    That is read in place, every time at another length: a copy of it for a graph, in every step,
    takes longer than its launches.
    """
    return autograd.layer(recorded if inputs.cache is None else eager, inputs)


# fastest first: ``auto`` takes the first that can run
BACKENDS = {
    "cpp": Backend(
        *(partial(autograd.layer, "cpp"), cpp.obstacle, "compiled for this machine"),
        reads_authors=True,
    ),
    "triton": Backend(
        *(by_triton, triton.obstacle, "compiled for this device by Triton, in CUDA graphs"),
        on_trial=True,
    ),
    "triton_eager": Backend(
        *(partial(autograd.layer, "triton_eager"), triton.obstacle),
        "compiled for this device by Triton",
        on_trial=True,
    ),
    "recompute": Backend(
        *(partial(autograd.layer, "recompute"), runs_anywhere),
        "linear memory in plain torch, on any device",
    ),
    "reference": Backend(reference.layer, runs_anywhere, "the equations by plain autograd"),
}
NAMES = ("auto", *BACKENDS)
_announced: set[tuple[str, torch.device]] = set()
_announcing = Lock()


def report(device: str | torch.device = "cpu") -> list[tuple[str, str | None]]:
    """``[(name, None or the reason why it cannot run on ``device``)]``, fastest first."""
    device = torch.device(device)
    return [(name, backend.obstacle(device)) for name, backend in BACKENDS.items()]


def on_trial(device: str | torch.device) -> list[str]:
    """Names of the able backends that ``auto`` takes only where ``selfcheck`` finds no fault."""
    return [name for name, obstacle in report(device) if not obstacle and BACKENDS[name].on_trial]


def verdict(name: str, device: torch.device) -> selfcheck.Verdict | None:
    """The self-check's on a backend: whether it computes what ``recompute`` does on ``device``."""
    layers = BACKENDS[name].layer, BACKENDS["recompute"].layer
    return selfcheck.verdict(name, device, *layers)


def choose(name: str, device: str | torch.device) -> str:
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
choose._dynamo_marked_constant = True  # type: ignore[attr-defined]


def known(name: str) -> None:
    """Raise InputError unless ``name`` is "auto" or a backend's."""
    if name not in NAMES:
        raise InputError(f"recurrence backend {name!r} is unknown, choose from {', '.join(NAMES)}")


def _fastest(device: torch.device) -> str:
    faults = []
    for name, backend in BACKENDS.items():
        if backend.obstacle(device) is not None:
            continue
        if not backend.on_trial:
            break
        judged = verdict(name, device)
        if judged is not None:
            if judged.fault is None:
                break
            faults.append(f"{name} {judged.fault}")
    _announce(name, device, faults)
    return name


def _announce(name: str, device: torch.device, faults: list[str]) -> None:
    """Say once for each device which backend is taken, as a warning if others are at fault."""
    with _announcing:
        if (name, device) in _announced:
            return
        _announced.add((name, device))
    taken = f"recurrence backend on {device}: {name} ({BACKENDS[name].why})"
    if not faults:
        logger.info(taken)
        return
    cuda = device.type == "cuda"
    model = torch.cuda.get_device_name(device) if cuda else platform.machine()
    versions = f"{model}, torch {torch.__version__}"
    logger.warning(f"{taken}, as {' and '.join(faults)}; please report this line ({versions})")
