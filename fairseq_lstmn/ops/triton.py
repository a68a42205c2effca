"""The recurrence on CUDA devices, its steps compiled by Triton when they first run.

Products are cuBLAS's in float32 as IEEE has it: not TF32, unless the user lets torch use that.
"""

import os
from importlib.util import find_spec

import torch

from fairseq_lstmn.ops import compiled, graphs, operators, recompute

GRAPHS = graphs.Graphs(graphs.record)


def steps(inputs):
    """See ``reference.steps``."""
    if not inputs.query_inputs.is_cuda or torch.compiler.is_compiling():
        return recompute.steps(inputs, "triton")
    with torch.cuda.device(inputs.query_inputs.device):  # where Triton and graphs launch
        return graphs.steps(inputs, arithmetic(), GRAPHS)


def arithmetic():
    """The kernels' ``Arithmetic``."""
    from fairseq_lstmn.ops import triton_kernels  # not above: Triton may be missing

    return compiled.arithmetic(triton_kernels)


def obstacle(device):
    """Why the kernels cannot run on ``device``; None if they can.

    Triton's interpreter (``TRITON_INTERPRET=1``), for tests, runs them on the CPU.
    """
    if find_spec("triton") is None:
        return "Triton is not installed: pip install triton"
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "runs on CUDA devices only"
    return None


operators.provide("triton", arithmetic)
