"""The recurrence on the CPU, its steps compiled from csrc/."""

import torch

from fairseq_lstmn.ops import compiled, cpp_library


def steps(inputs):
    """See ``reference.steps``."""
    return compiled.steps(inputs, torch.ops.fairseq_lstmn)


def obstacle(device):
    """Why the kernels cannot run on ``device``; None if they can."""
    if device.type != "cpu":
        return "runs on the CPU only"
    if not cpp_library.library().exists():
        return "not built, recompute takes 1.5 times as long or more: fairseq-lstmn build"
    return cpp_library.load(cpp_library.library())
