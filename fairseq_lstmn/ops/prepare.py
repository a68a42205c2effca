"""What becomes of the recurrence's arguments: checked, in one precision, nothing left out.

B batch, T steps, P prefix slots, H hidden width.
"""

import typing

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.padding import RaggedBatch, empty_slots, to_host
from fairseq_lstmn.ops.passes.inputs import Inputs
from fairseq_lstmn.ops.types import Source, Tape, Weights, mapped

HALF = (torch.float16, torch.bfloat16)
FUSION_WEIGHTS = ("source_query", "source_score", "source_gate")
AnyT = typing.TypeVar("AnyT")


def checked(inputs: Inputs, lengths: Tensor | None) -> tuple[Inputs, RaggedBatch]:
    """``Inputs`` that fit together and their ``RaggedBatch``; no lengths where nothing is missing.

    A device is asked once, and only about lengths that it holds.
    """
    steps, slots = check(inputs, lengths)
    if slots is None and inputs.tape is not None and inputs.tape.lengths is not None:
        inputs = inputs._replace(tape=inputs.tape._replace(lengths=None))
    batch, length, _ = inputs.query_inputs.shape
    return inputs, RaggedBatch(lengths, steps, batch, length, inputs.query_inputs.device)


def check(inputs: Inputs, lengths: Tensor | None) -> tuple[list[int] | None, list[int] | None]:
    """Raise InputError for the first argument of ``lstmn``, as ``Inputs``, that does not fit.

    Returns the rows' numbers of steps and of valid prefix slots as lists, None for all of them.
    """
    query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias, *_ = inputs
    if query_inputs.dim() != 3 or query_inputs.size(1) == 0:
        raise InputError(f"query_inputs is not (B, T > 0, H): {shape(query_inputs)}")
    batch, steps, width = query_inputs.shape
    expect("gate_inputs", gate_inputs, (batch, steps, 4 * width))
    expect("weights.key", weights.key, (width, width))
    expect("weights.summary_query", weights.summary_query, (width, width))
    expect("weights.score", weights.score, (width,))
    expect("weights.summary_gates", weights.summary_gates, (4 * width, width))
    if memory_span < 0:
        raise InputError(f"memory_span must be 0 (unbounded) or above, not {memory_span}")
    if distance_bias is not None and (distance_bias.dim() != 1 or len(distance_bias) == 0):
        raise InputError(f"distance_bias is not (R + 1,): {shape(distance_bias)}")
    expect_lengths("lengths", lengths, batch)
    if tape is not None:
        check_tape(tape, batch, width)
    if source is not None:
        check_source(source, weights, batch, steps, width)
    valid, prefix = (None, 0) if tape is None else (tape.lengths, tape.hidden.size(1))
    counts, slots = to_host(lengths, valid)
    return within("lengths", counts, steps), within("tape.lengths", slots, prefix)


def check_tape(tape: Tape, batch: int, width: int) -> None:
    if tape.hidden.dim() != 3:
        raise InputError(f"tape.hidden is not (B, P, H): {shape(tape.hidden)}")
    prefix = tape.hidden.size(1)
    for name in ("hidden", "memory", "keys"):
        expect(f"tape.{name}", getattr(tape, name), (batch, prefix, width))
    for name in ("summary", "source_summary"):
        expect(f"tape.{name}", getattr(tape, name), (batch, width))
    expect_lengths("tape.lengths", tape.lengths, batch)


def check_source(source: Source, weights: Weights, batch: int, steps: int, width: int) -> None:
    deep = source.gate_inputs is not None
    for name in FUSION_WEIGHTS if deep else FUSION_WEIGHTS[1:]:
        if getattr(weights, name) is None:
            raise InputError(f"a source is given, but weights.{name} is None")
    expect("weights.source_query", weights.source_query, (width, width))
    expect("weights.source_score", weights.source_score, (width,))
    expect("weights.source_gate", weights.source_gate, (width if deep else 4 * width, width))
    if source.keys.dim() != 3:
        raise InputError(f"source.keys is not (G, S, H): {shape(source.keys)}")
    sentences, length, _ = source.keys.shape
    if sentences != batch and (sentences == 0 or batch % sentences):
        raise InputError(f"source.keys is {shape(source.keys)}: {batch} rows cannot share them")
    expect("source.keys", source.keys, (sentences, length, width))
    expect("source.slots", source.slots, (sentences, length, 2 * width if deep else width))
    for name in ("query_inputs", "gate_inputs"):
        expect(f"source.{name}", getattr(source, name), (batch, steps, width))
    expect("source.mask", source.mask, (sentences, length))
    if source.mask is not None and source.mask.dtype != torch.bool:
        raise InputError(f"source.mask must be bool, True at real tokens, not {source.mask.dtype}")


def expect_lengths(name: str, lengths: Tensor | None, batch: int) -> None:
    expect(name, lengths, (batch,))
    if lengths is not None and not countable(lengths.dtype):
        raise InputError(f"{name} must be integers, not {lengths.dtype}")


def countable(dtype: torch.dtype) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool)


def within(name: str, counts: list[int] | None, most: int) -> list[int] | None:
    """``counts``, a list or None, or None when all are ``most``; raise if any is out of range."""
    if counts and (min(counts) < 0 or max(counts) > most):
        reach = f"from {min(counts)} to {max(counts)}"
        raise InputError(f"{name} must lie in 0..{most}, but reach {reach}")
    return counts if counts and min(counts) < most else None


def expect(name: str, tensor: Tensor | None, expected: tuple[int, ...]) -> None:
    """Raise unless ``tensor`` is None or of the shape ``expected``."""
    if tensor is not None and tuple(tensor.shape) != expected:
        raise InputError(f"{name} is {shape(tensor)}, but {expected} is needed")


def shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def precision(inputs: Inputs) -> torch.dtype:
    """The type that a layer of ``Inputs`` is computed in."""
    dtype = inputs.query_inputs.dtype
    return torch.float32 if dtype in HALF else dtype


def cast(value: AnyT, dtype: torch.dtype) -> AnyT:
    """``value`` with every floating tensor inside its (named) tuples in ``dtype``."""

    def to_dtype(part: Tensor) -> Tensor:
        return part.to(dtype) if part.is_floating_point() and part.dtype != dtype else part

    return typing.cast(AnyT, mapped(to_dtype, value))


def fill_in(inputs: Inputs) -> Inputs:
    """``inputs`` with a tape and, if there is a source, its mask."""
    tape = fill_in_tape(inputs.tape, inputs.weights, inputs.query_inputs)
    return inputs._replace(tape=tape, source=fill_in_mask(inputs.source))


def fill_in_mask(source: Source | None) -> Source | None:
    """``source`` or None, with its mask."""
    if source is None or source.mask is not None:
        return source
    mask = torch.ones(source.keys.shape[:2], dtype=torch.bool, device=source.keys.device)
    return source._replace(mask=mask)


def fill_in_tape(tape: Tape | None, weights: Weights, like: Tensor) -> Tape:
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
