"""The recurrence on CUDA devices, its steps compiled by Triton when they first run.

Products are cuBLAS's in float32 as IEEE has it: not TF32, unless the user lets torch use that.
"""

import os
from functools import cache
from importlib.util import find_spec

import torch

from fairseq_lstmn.ops.passes import operators, recompute
from fairseq_lstmn.ops.triton import cuda_graphs, graphs
from fairseq_lstmn.ops.types import Inputs, Results


def layer(inputs: Inputs) -> Results:
    """See ``reference.layer``; training launches recorded CUDA graphs."""
    device = inputs.query_inputs.device
    if device.type != "cuda" or torch.compiler.is_compiling():
        return eager_layer(inputs)
    with torch.cuda.device(device):  # where Triton and graphs launch
        return graphs.layer(inputs, arithmetic(), cuda_graphs.graphs_of(device))


def eager_layer(inputs: Inputs) -> Results:
    """See ``reference.layer``; each kernel is launched by Python."""
    with torch.cuda.device_of(inputs.query_inputs):
        return recompute.layer(inputs, "triton")


def arithmetic() -> operators.Arithmetic:
    """The kernels' ``Arithmetic``."""
    from fairseq_lstmn.ops.triton import triton_kernels  # not above: Triton may be missing

    return operators.Arithmetic(triton_kernels)


@cache
def is_installed() -> bool:
    return find_spec("triton") is not None


def obstacle(device: torch.device) -> str | None:
    """Why the kernels cannot run on ``device``; None if they can.

    Triton's interpreter (``TRITON_INTERPRET=1``), for tests, runs them on the CPU.
    """
    if not is_installed():
        return "Triton is not installed: pip install triton"
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        return "runs on CUDA devices only"
    return None


operators.provide("triton", arithmetic)
