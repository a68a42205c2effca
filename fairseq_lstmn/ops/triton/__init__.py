"""The recurrence on CUDA devices, its steps compiled by Triton when they first run.

Products are cuBLAS's in float32 as IEEE has it: not TF32, unless the user lets torch use that.
"""

import os
from functools import cache
from importlib.util import find_spec

import torch

from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.passes.saved import Kernels, SavedActivations, SavedForBackward
from fairseq_lstmn.ops.triton.buckets import InGraphs
from fairseq_lstmn.ops.triton.graphs import graphs_of


@cache
def kernels() -> Kernels:
    """Both passes, each kernel launched by Python."""
    from fairseq_lstmn.ops.triton import triton_kernels  # not above: Triton may be missing

    return OnDevice(triton_kernels)


@cache
def kernels_in_graphs() -> Kernels:
    """Both passes as recorded CUDA graphs."""
    return InGraphs(kernels(), graphs_of)


class OnDevice(Recompute):
    """``Recompute`` on the device of its arguments, where Triton and graphs launch."""

    def forward(self, inputs: Inputs) -> SavedActivations:
        with torch.cuda.device_of(inputs.query_inputs):
            return super().forward(inputs)

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        with torch.cuda.device_of(saved.weights.key):
            return super().backward(saved, grad_results)


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
