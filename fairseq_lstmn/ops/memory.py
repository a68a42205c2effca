"""Attention weights that memory has no place for, said in one line.

B batch, T steps, P prefix slots.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.types import Inputs

CPU_ALLOCATOR = "DefaultCPUAllocator"  # in its errors, which have no class


class OutOfMemory(InputError, torch.OutOfMemoryError):
    """Rows are too long; on a CUDA device fairseq's trainer goes on behind it, as it does there."""


@contextmanager
def room_for_attention(inputs: Inputs) -> Iterator[None]:
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
