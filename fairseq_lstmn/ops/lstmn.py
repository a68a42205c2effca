"""One LSTMN layer over a whole sequence: the one operation that everything stands on.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

import torch

from fairseq_lstmn.ops import backends, checks
from fairseq_lstmn.ops.ragged import RaggedBatch, empty_slots
from fairseq_lstmn.ops.types import Attention, Tape, mapped

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
    checks.check(
        query_inputs, gate_inputs, weights, tape, source, lengths, memory_span, distance_bias
    )
    backend = backends.choose(backend, query_inputs.device)
    dtype = query_inputs.dtype
    with torch.autocast(query_inputs.device.type, enabled=False):
        query_inputs, gate_inputs, weights, tape, source, distance_bias = in_working_precision(
            query_inputs, gate_inputs, weights, tape, source, distance_bias
        )
        batch = RaggedBatch(lengths, *query_inputs.shape[:2], query_inputs.device)
        tape = complete(tape, weights, query_inputs)
        if source is not None:
            source = source._replace(
                mask=everywhere(source.keys) if source.mask is None else source.mask,
                query_inputs=batch.zero_padding(source.query_inputs),
                gate_inputs=batch.zero_padding(source.gate_inputs),
            )
            source = source.for_each(len(query_inputs)) if batch.ragged else source
        made = backends.BACKENDS[backend].steps(
            *batch.longest_first(
                (batch.zero_padding(query_inputs), batch.zero_padding(gate_inputs))
            ),
            weights,
            batch.longest_first(tape),
            batch.longest_first(source),
            memory_span,
            distance_bias,
            batch.rows,
        )
        made = batch.as_given(made)
        # a copy: callers may write into outputs, but not into the tape
        outputs = batch.zero_padding(made.hidden[:, tape.hidden.size(1) :]).contiguous()
        tape = batch.extend(tape, made)
        attention = None
        if return_attention:
            attention = Attention(batch.zero_padding(made.attention))
            if source is not None:
                attention = attention._replace(
                    source=batch.zero_padding(made.source_attention),
                    context=batch.zero_padding(made.source_summaries),
                )
    return cast((outputs, tape, attention), dtype)


def in_working_precision(query_inputs, *arguments):
    """The arguments in one type: float32 for half precisions, else that of the inputs."""
    dtype = torch.float32 if query_inputs.dtype in HALF else query_inputs.dtype
    return cast((query_inputs, *arguments), dtype)


def cast(value, dtype):
    """``value`` with every floating tensor inside its (named) tuples in ``dtype``."""
    return mapped(lambda part: part.to(dtype) if part.is_floating_point() else part, value)


def complete(tape, weights, like):
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


def everywhere(keys):
    """The mask (G, S) of a source whose slots are all real."""
    return torch.ones(keys.shape[:2], dtype=torch.bool, device=keys.device)
