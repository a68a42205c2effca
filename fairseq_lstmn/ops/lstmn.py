"""One LSTMN layer over a whole sequence: the one operation that everything stands on.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

import torch

from fairseq_lstmn.ops import backends, checks
from fairseq_lstmn.ops.ragged import RaggedBatch, empty_slots
from fairseq_lstmn.ops.types import Attention, Inputs, Tape, mapped

HALF = (torch.float16, torch.bfloat16)


def lstmn(
    query_inputs,
    gate_inputs,
    weights,
    tape=None,
    source=None,
    lengths=None,
    memory_span=0,
    distance_bias=None,
    return_attention=False,
    backend="auto",
):
    """Run a layer, equations 4-9 (with a ``source`` also 12-16), and hand its tape on.

    Args:
        query_inputs (B, T, H): W_x x_t of (4).
        gate_inputs (B, T, 4H): the part of (7) on x_t with its biases, in torch's gate
            order: input, forget, candidate, output.
        weights (Weights): what multiplies the recurrence's own vectors.
        tape (Tape): slots that stand there before the first step; none by default.
        source (Source): an encoder layer's tapes, for deep or shallow fusion.
        lengths (B,): steps of each row of a right-padded batch; all T by default.
        memory_span: how many of the latest slots a step attends; 0 for all.
        distance_bias (R + 1,): added to a_i^t for distances t - i = 1..R and for all farther.
        return_attention: whether to return the weights of (5) and (13), and g~_t.
        backend: one of ``backends.NAMES``; a named one runs or raises.

    Returns:
        outputs (B, T, H), h_t, zero at padded steps; the ``Tape`` after the last valid step of
        each row, of which later steps need the ``latest(memory_span)`` slots; ``Attention`` or
        None. Feeding a sequence in pieces, the tape handed on, equals feeding it whole.

    float16 and bfloat16 inputs are computed in float32 and come back in their own type.

    Raises:
        InputError: arguments that do not fit together, or a backend that cannot run.
    """
    inputs = Inputs(query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias)
    checks.check(inputs, lengths)
    backend = backends.choose(backend, query_inputs.device)
    dtype = query_inputs.dtype
    with torch.autocast(query_inputs.device.type, enabled=False):
        inputs = complete(cast(inputs, torch.float32 if dtype in HALF else dtype))
        batch = RaggedBatch(lengths, *query_inputs.shape[:2], query_inputs.device)
        made = backends.BACKENDS[backend].steps(batch.longest_first(inputs))
        made = batch.as_given(made)
        prefix = inputs.tape.hidden.size(1)
        # a copy: callers may write into outputs, but not into the tape
        outputs = batch.zero_padding(made.hidden[:, prefix:])
        outputs = outputs.clone(memory_format=torch.contiguous_format)
        tape = batch.extend(inputs.tape, made)
        attention = None
        if return_attention:
            attention = Attention(batch.zero_padding(made.attention))
            if source is not None:
                attention = attention._replace(
                    source=batch.zero_padding(made.source_attention),
                    context=batch.zero_padding(made.source_summaries),
                )
    return cast((outputs, tape, attention), dtype)


def cast(value, dtype):
    """``value`` with every floating tensor inside its (named) tuples in ``dtype``."""
    return mapped(lambda part: part.to(dtype) if part.is_floating_point() else part, value)


def complete(inputs):
    """``inputs`` with a tape and, if there is a source, its mask."""
    source = inputs.source
    if source is not None and source.mask is None:
        mask = torch.ones(source.keys.shape[:2], dtype=torch.bool, device=source.keys.device)
        source = source._replace(mask=mask)
    tape = complete_tape(inputs.tape, inputs.weights, inputs.query_inputs)
    return inputs._replace(tape=tape, source=source)


def complete_tape(tape, weights, like):
    """``tape``, or an empty one for None, with keys and summaries there; ``like`` is (B, T, H)."""
    batch, _, width = like.shape
    if tape is None:
        nothing = like.new_zeros(batch, 0, width)
        tape = Tape(nothing, nothing, nothing)
    if tape.lengths is not None:
        # zeros there: a weight of 0 would not hide an infinity
        empty = empty_slots(tape.lengths, tape.hidden.size(1)).unsqueeze(-1)
        slots = [part if part is None else part.masked_fill(empty, 0) for part in tape[:3]]
        tape = Tape(*slots, *tape[3:])
    zeros = like.new_zeros(batch, width)
    return tape._replace(
        keys=tape.hidden @ weights.key.T if tape.keys is None else tape.keys,
        summary=zeros if tape.summary is None else tape.summary,
        source_summary=zeros if tape.source_summary is None else tape.source_summary,
    )
