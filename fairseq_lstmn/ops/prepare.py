"""What the recurrence's arguments become before a layer is computed: complete, in one precision.

B batch, T steps, P prefix slots, H hidden width.
"""

from typing import TypeVar

import torch
from torch import Tensor

from fairseq_lstmn.ops import checks
from fairseq_lstmn.ops.ragged import RaggedBatch, empty_slots
from fairseq_lstmn.ops.types import Inputs, Source, Tape, Weights, mapped

HALF = (torch.float16, torch.bfloat16)
AnyT = TypeVar("AnyT")


def checked(inputs: Inputs, lengths: Tensor | None) -> tuple[Inputs, RaggedBatch]:
    """``Inputs`` that fit together and their ``RaggedBatch``; no lengths where nothing is missing.

    A device is asked once, and only about lengths that it holds.
    """
    steps, slots = checks.check(inputs, lengths)
    if slots is None and inputs.tape is not None and inputs.tape.lengths is not None:
        inputs = inputs._replace(tape=inputs.tape._replace(lengths=None))
    batch, length, _ = inputs.query_inputs.shape
    return inputs, RaggedBatch(lengths, steps, batch, length, inputs.query_inputs.device)


def precision(inputs: Inputs) -> torch.dtype:
    """The type that a layer of ``Inputs`` is computed in."""
    dtype = inputs.query_inputs.dtype
    return torch.float32 if dtype in HALF else dtype


def cast(value: AnyT, dtype: torch.dtype) -> AnyT:
    """``value`` with every floating tensor inside its (named) tuples in ``dtype``."""

    def to_dtype(part: Tensor) -> Tensor:
        return part.to(dtype) if part.is_floating_point() and part.dtype != dtype else part

    made: AnyT = mapped(to_dtype, value)
    return made


def complete(inputs: Inputs) -> Inputs:
    """``inputs`` with a tape and, if there is a source, its mask."""
    tape = complete_tape(inputs.tape, inputs.weights, inputs.query_inputs)
    return inputs._replace(tape=tape, source=complete_source(inputs.source))


def complete_source(source: Source | None) -> Source | None:
    """``source`` or None, with its mask."""
    if source is None or source.mask is not None:
        return source
    mask = torch.ones(source.keys.shape[:2], dtype=torch.bool, device=source.keys.device)
    return source._replace(mask=mask)


def complete_tape(tape: Tape | None, weights: Weights, like: Tensor) -> Tape:
    """``tape``, or an empty one for None, with keys and summaries there; ``like`` is (B, T, H)."""
    batch, _, width = like.shape
    if tape is None:
        nothing = like.new_zeros(batch, 0, width)
        tape = Tape(nothing, nothing, nothing)
    if tape.lengths is not None:
        lengths = tape.lengths.to(like.device, torch.long)  # narrow ones would overflow
        # zeros there: a weight of 0 would not hide an infinity
        empty = empty_slots(lengths, tape.hidden.size(1)).unsqueeze(-1)
        hidden, memory, keys = mapped(lambda part: part.masked_fill(empty, 0), tuple(tape[:3]))
        tape = Tape(hidden, memory, keys, tape.summary, tape.source_summary, lengths)
    zeros = like.new_zeros(batch, width)
    return tape._replace(
        keys=projected(tape.hidden, weights.key) if tape.keys is None else tape.keys,
        summary=zeros if tape.summary is None else tape.summary,
        source_summary=zeros if tape.source_summary is None else tape.source_summary,
    )


def projected(hidden: Tensor, key: Tensor) -> Tensor:
    """W_h h_i of (4), (B, P, H).

    In float64, which autocast leaves alone where it reaches the backward pass of this product.
    """
    return (hidden.double() @ key.double().T).to(hidden.dtype)
