"""Whether the recurrence's arguments fit together: one line that names the one that does not."""

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.ragged import to_host
from fairseq_lstmn.ops.types import Inputs, Source, Tape, Weights

FUSION_WEIGHTS = ("source_query", "source_score", "source_gate")


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


def expect(name: str, tensor: Tensor | None, wanted: tuple[int, ...]) -> None:
    """Raise unless ``tensor`` is None or of the shape ``wanted``."""
    if tensor is not None and tuple(tensor.shape) != wanted:
        raise InputError(f"{name} is {shape(tensor)}, but {wanted} is needed")


def shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
