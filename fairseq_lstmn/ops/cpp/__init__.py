"""The recurrence on the CPU, its steps compiled from csrc/."""

from functools import cache
from types import SimpleNamespace

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.cpp import cpp_library
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.passes.saved import Kernels


@cache
def kernels() -> Kernels:
    """Both passes, for an exported model too, which asks ``obstacle`` nothing."""
    reason = obstacle(torch.device("cpu"))
    if reason:
        raise InputError(f"recurrence backend 'cpp' cannot run: {reason}")
    return Recompute(step_kernels())


def step_kernels() -> SimpleNamespace:
    """The four of ``passes.step_kernels``, by the names that csrc/ gives them."""
    library = torch.ops.fairseq_lstmn
    return SimpleNamespace(
        attend=library.read,
        attend_backward=library.read_backward,
        cell=library.cell,
        cell_backward=library.cell_backward,
    )


def obstacle(device: torch.device) -> str | None:
    """Why the kernels cannot run on ``device``; None if they can."""
    if device.type != "cpu":
        return "runs on the CPU only"
    if not cpp_library.library().exists():
        return "not built, recompute takes 1.5 times as long or more: fairseq-lstmn build"
    return cpp_library.load(cpp_library.library())
