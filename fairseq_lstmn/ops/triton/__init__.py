"""The recurrence on CUDA devices, its steps compiled by Triton when they first run.

Products are cuBLAS's in float32 as IEEE has it: not TF32, unless the user lets torch use that.
B batch, T steps, P prefix slots, S source length.
"""

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.passes.saved import Kernels, SavedActivations, SavedForBackward
from fairseq_lstmn.ops.triton.graphs import Graphs, graphs_of
from fairseq_lstmn.ops.types import Source

BUCKET = 8  # T and S are rounded up to its multiples, so that few shapes come
StepsT = TypeVar("StepsT", SavedActivations, Results)


@cache
def kernels() -> Kernels:
    """Both passes, each kernel launched by Python."""
    from fairseq_lstmn.ops.triton import triton_kernels  # not above: Triton may be missing

    return OnDevice(triton_kernels)


@cache
def kernels_in_graphs() -> Kernels:
    """Both passes, for training, as recorded CUDA graphs."""
    return InGraphs(kernels(), graphs_of)


class OnDevice(Recompute):
    """``Recompute`` on the device of its arguments, where Triton and graphs launch."""

    def forward(self, inputs: Inputs) -> SavedActivations:
        with torch.cuda.device_of(inputs.query_inputs):
            return super().forward(inputs)

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        with torch.cuda.device_of(saved.weights.key):
            return super().backward(saved, grad_results)


class InGraphs:
    """``Kernels`` whose passes are recorded by ``graphs_of`` a device, with T and S rounded up.

    Zeros stand behind the steps, masked slots in the source. Not for a tape with a cache, which
    stands at another place in every call.
    """

    def __init__(self, kernels: Kernels, graphs_of: Callable[[torch.device], Graphs]) -> None:
        self.kernels, self.graphs_of = kernels, graphs_of

    def forward(self, inputs: Inputs) -> SavedActivations:
        more = to_bucket(inputs.query_inputs, inputs.source and inputs.source.keys)
        graphs = self.graphs_of(inputs.query_inputs.device)
        activations: SavedActivations = graphs.run(
            self.kernels.forward, resized_inputs(inputs, *more)
        )
        return resized(activations, *(-count for count in more))

    def backward(self, saved: SavedForBackward, grad_results: Results) -> Inputs:
        steps, slots = more = to_bucket(saved.activations.queries, saved.source_keys)
        saved = saved._replace(
            activations=resized(saved.activations, steps, slots),
            source_keys=longer(saved.source_keys, slots),
            source_slots=longer(saved.source_slots, slots),
            rows=None,  # how many rows still have a step differs from batch to batch
        )
        graphs = self.graphs_of(saved.weights.key.device)
        gradients = graphs.run(self.kernels.backward, saved, resized(grad_results, *more))
        return resized_inputs(gradients, -steps, -slots)


def to_bucket(queries: Tensor, source_keys: Tensor | None) -> tuple[int, int]:
    """How many steps, and slots of the source, are missing in (B, T, H) and (G, S, H)."""
    slots = 0 if source_keys is None else source_keys.size(1)
    return -queries.size(1) % BUCKET, -slots % BUCKET


def longer(part: Any, rows: int, columns: int = 0) -> Any:
    """(B, n, m), or None, with zeros in that many more rows and columns, or with fewer."""
    if part is None or not (rows or columns):
        return part
    return pad(part, (0, columns, 0, rows))


def resized(parts: StepsT, steps: int, slots: int) -> StepsT:
    """``SavedActivations`` or ``Results`` with that many more steps, and slots in the source."""
    columns = {"attention": steps, "source_attention": slots}
    fields = zip(parts._fields, parts)
    return type(parts)(*(longer(part, steps, columns.get(name, 0)) for name, part in fields))


def resized_inputs(inputs: Inputs, steps: int, slots: int) -> Inputs:
    """``Inputs`` with that many more steps, and masked slots in the source, for all rows."""
    source = inputs.source
    if source is not None:
        source = Source(
            *(longer(source.keys, slots), longer(source.slots, slots)),
            *(longer(source.query_inputs, steps), longer(source.gate_inputs, steps)),
            mask=None if source.mask is None else pad(source.mask, (0, slots)),
        )
    return inputs._replace(
        query_inputs=longer(inputs.query_inputs, steps),
        gate_inputs=longer(inputs.gate_inputs, steps),
        source=source,
        rows=None,
    )


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
