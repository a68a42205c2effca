"""What a layer is computed from and what it results in, the same for every backend.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.cache import Cache
from fairseq_lstmn.ops.types import Source, Tape, Weights

CPU_ALLOCATOR = "DefaultCPUAllocator"  # in its errors, which have no class
NO_SOURCE: Any = (None,) * len(Source._fields)


class Inputs(NamedTuple):
    """What a backend takes: the arguments of ``lstmn``, none left out and in one precision."""

    query_inputs: Tensor  # (B, T, H)
    gate_inputs: Tensor  # (B, T, 4H)
    weights: Weights
    tape: Tape  # of which only lengths may be None
    source: Source | None  # with its mask
    memory_span: int
    distance_bias: Tensor | None  # (R + 1,)
    rows: Sequence[int] | None = None  # T counts, falling: step t is the first rows[t] rows'
    cache: Cache | None = None  # where the tape ends, for a backend that writes behind it
    discard_attention: bool = False  # nobody asks for the weights that ``Results`` have

    def tensors(self) -> list[Tensor | None]:
        """All tensors in order, None for each that is absent; ``of`` takes them."""
        source = self.source or NO_SOURCE
        inputs = self.query_inputs, self.gate_inputs
        return [*inputs, *self.weights, *self.tape, *source, self.distance_bias]

    @staticmethod
    def of(tensors: Sequence[Any], memory_span: int, rows: Sequence[int] | None) -> Inputs:
        """The ``Inputs`` of these ``tensors``."""
        query_inputs, gate_inputs, *others, distance_bias = tensors
        weights, tape, source = Weights(*others[:7]), Tape(*others[7:13]), Source(*others[13:])
        return Inputs(
            *(query_inputs, gate_inputs, weights, tape),
            None if source.keys is None else source,
            *(memory_span, distance_bias, rows),
        )


class Results(NamedTuple):
    """What a backend returns: the tape grown by T steps, padded ones included, and the rest.

    Of a loss' gradients by them, any may be None.
    """

    hidden: Tensor  # (B, P + T, H)
    memory: Tensor  # (B, P + T, H)
    keys: Tensor  # (B, P + T, H)
    summaries: Tensor  # (B, T, H), h~_t
    attention: Tensor | None  # (B, T, P + T); None, or any numbers, if nobody asks for it
    source_summaries: Tensor  # (B, T, H), g~_t; what the tape held before without a source
    source_attention: Tensor | None  # (B, T, S), likewise; None without a source


class OutOfMemory(InputError, torch.OutOfMemoryError):
    """Rows are too long; on a CUDA device fairseq's trainer goes on behind it, as it does there."""


@contextmanager
def memory_for_attention(inputs: Inputs) -> Iterator[None]:
    """Raise OutOfMemory where what is allocated inside, the weights (B, T, P + T), does not fit.

    On the CPU before the system ends the process for it.
    """
    queries = inputs.query_inputs
    batch, steps, _ = queries.shape
    slots = inputs.tape.hidden.size(1) + steps
    size = 0 if inputs.discard_attention else batch * steps * slots * queries.element_size()
    # fairseq's trainer looks for these words, and skips such a batch
    fault = "CUDA out of memory" if queries.is_cuda else "too little memory"
    line = (
        f"{fault} for {batch} x {steps} tokens: their attention to {slots} slots, which training "
        f"and --pointer keep, takes {size / 1e9:.1f} GB; cut the text into shorter lines, as "
        "--memory-span saves time alone"
    )
    if queries.device.type == "cpu" and size > cpu_memory():
        raise OutOfMemory(line)
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or CPU_ALLOCATOR in str(error):
            raise OutOfMemory(line) from error
        raise


@cache
def cpu_memory() -> int:
    """This machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
