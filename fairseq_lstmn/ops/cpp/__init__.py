"""The recurrence on the CPU, compiled from csrc/."""

from functools import cache

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.cpp import cpp_library
from fairseq_lstmn.ops.cpp.compiled import Compiled
from fairseq_lstmn.ops.passes.saved import Kernels


@cache
def kernels() -> Kernels:
    """Both passes, for an exported model too, which asks ``obstacle`` nothing."""
    reason = obstacle(torch.device("cpu"))
    if reason:
        raise InputError(f"recurrence backend 'cpp' cannot run: {reason}")
    return Compiled()


def obstacle(device: torch.device) -> str | None:
    """Why the kernels cannot run on ``device``; None if they can."""
    if device.type != "cpu":
        return "runs on the CPU only"
    if not cpp_library.library().exists():
        return "not built, recompute takes 1.5 times as long or more: fairseq-lstmn build"
    return cpp_library.load(cpp_library.library())
