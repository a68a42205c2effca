"""The recurrence on the CPU, its steps compiled from csrc/."""

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.cpp import cpp_library
from fairseq_lstmn.ops.passes import operators, recompute
from fairseq_lstmn.ops.types import Inputs, Results


def layer(inputs: Inputs) -> Results:
    """See ``reference.layer``."""
    return recompute.layer(inputs, "cpp")


def obstacle(device: torch.device) -> str | None:
    """Why the kernels cannot run on ``device``; None if they can."""
    if device.type != "cpu":
        return "runs on the CPU only"
    if not cpp_library.library().exists():
        return "not built, recompute takes 1.5 times as long or more: fairseq-lstmn build"
    return cpp_library.load(cpp_library.library())


def arithmetic() -> operators.Arithmetic:
    """The kernels' ``Arithmetic``, for an exported model too, which asks ``obstacle`` nothing."""
    reason = obstacle(torch.device("cpu"))
    if reason:
        raise InputError(f"recurrence backend 'cpp' cannot run: {reason}")
    return operators.Arithmetic(torch.ops.fairseq_lstmn)


operators.provide("cpp", arithmetic)
