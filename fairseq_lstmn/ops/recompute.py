"""The recurrence with linear memory: a hand-written backward pass that recomputes the tanh.

B batch, T steps, P prefix slots, S source length, H hidden width. Of the attention only the
weights are kept, so that memory grows as B T H + B T^2 where plain autograd keeps B T^2 H.
`reference` is the version to read first; the passes are in `recompute_steps` (forward) and
`recompute_backward`, the attention of both in `reader`.
"""

import torch
from torch.autograd.function import once_differentiable

from fairseq_lstmn.ops.cell import cell, cell_backward
from fairseq_lstmn.ops.reader import Reader
from fairseq_lstmn.ops.recompute_backward import backward
from fairseq_lstmn.ops.recompute_steps import Arithmetic, Trace, forward
from fairseq_lstmn.ops.room import new_place, place_to_grow
from fairseq_lstmn.ops.types import Source, Steps, Tape, Weights

WEIGHTS, TAPE, SOURCE = (len(parts._fields) for parts in (Weights, Tape, Source))
IN_TORCH = Arithmetic(Reader, cell, cell_backward)


def steps(
    query_inputs,
    gate_inputs,
    weights,
    tape,
    source,
    memory_span,
    distance_bias,
    rows,
    arithmetic=IN_TORCH,
):
    """See ``reference.steps``. Without gradients the tape grows in place."""
    if torch.is_grad_enabled():
        flat_source = [None] * SOURCE if source is None else source.for_each(len(query_inputs))
        made = Recompute.apply(
            arithmetic,
            rows,
            memory_span,
            query_inputs,
            gate_inputs,
            distance_bias,
            *weights,
            *tape,
            *flat_source,
        )
        made = Steps(*made)
    else:
        place = place_to_grow(tape, query_inputs.size(1))
        trace = forward(
            arithmetic,
            query_inputs,
            gate_inputs,
            weights,
            tape,
            source,
            memory_span,
            distance_bias,
            rows,
            place,
        )
        made = trace.made()._replace(place=place.grow(query_inputs.size(1)))
    if source is None:
        made = made._replace(
            source_summaries=tape.source_summary.unsqueeze(1).expand_as(made.summaries)
        )
    return made


class Recompute(torch.autograd.Function):
    """All steps of a layer; flat arguments, because autograd sees no tensor inside a tuple."""

    @staticmethod
    def forward(
        ctx, arithmetic, rows, memory_span, query_inputs, gate_inputs, distance_bias, *parts
    ):
        weights = Weights(*parts[:WEIGHTS])
        tape = Tape(*parts[WEIGHTS : WEIGHTS + TAPE])
        source = Source(*parts[-SOURCE:])
        source = None if source.keys is None else source
        place = new_place(tape, query_inputs.size(1))
        trace = forward(
            arithmetic,
            query_inputs,
            gate_inputs,
            weights,
            tape,
            source,
            memory_span,
            distance_bias,
            rows,
            place,
        )
        ctx.arithmetic, ctx.rows, ctx.memory_span = arithmetic, rows, memory_span
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(distance_bias, *weights, *trace)
        return trace.made()[:-1]

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        distance_bias, *saved = ctx.saved_tensors
        weights, trace = Weights(*saved[:WEIGHTS]), Trace(*saved[WEIGHTS:])
        d_query_inputs, d_gate_inputs, d_bias, d_weights, d_tape, d_source = backward(
            ctx.arithmetic,
            trace,
            weights,
            ctx.memory_span,
            distance_bias,
            ctx.rows,
            Steps(*gradients),
        )
        return (
            None,
            None,
            None,
            d_query_inputs,
            d_gate_inputs,
            d_bias,
            *d_weights,
            *d_tape,
            *d_source,
        )
