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
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import Inputs, Source, Steps, Tape, Weights

IN_TORCH = Arithmetic(Reader, cell, cell_backward)
NO_SOURCE = Source(*[None] * len(Source._fields))


def steps(inputs, arithmetic=IN_TORCH):
    """See ``reference.steps``. Without gradients a tape that has a room grows there."""
    count = inputs.query_inputs.size(1)
    if torch.is_grad_enabled():
        if inputs.source is not None:
            inputs = inputs._replace(source=inputs.source.for_each(len(inputs.query_inputs)))
        made = Steps(*Recompute.apply(arithmetic, *flat(inputs)))
    else:
        room = inputs.room or Room.of(inputs.tape, count)
        made = forward(arithmetic, inputs, room).made()
    if inputs.source is None:
        summary = inputs.tape.source_summary.unsqueeze(1)
        made = made._replace(source_summaries=summary.expand_as(made.summaries))
    return made


def flat(inputs):
    """``Inputs`` as arguments in one row: autograd sees no tensor inside a tuple."""
    query_inputs, gate_inputs, weights, tape, source, *others, _ = inputs
    source = NO_SOURCE if source is None else source
    return query_inputs, gate_inputs, *others, *weights, *tape, *source


def nested(query_inputs, gate_inputs, memory_span, distance_bias, rows, *parts):
    """The ``Inputs`` that ``flat`` has put in one row."""
    weights = Weights(*parts[: len(Weights._fields)])
    source = Source(*parts[-len(Source._fields) :])
    tape = Tape(*parts[len(weights) : -len(source)])
    source = None if source.keys is None else source
    return Inputs(
        query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias, rows
    )


def forward_from_a_copy(arithmetic, inputs):
    """``forward`` that leaves the tape where it stands."""
    return forward(arithmetic, inputs, Room.of(inputs.tape, inputs.query_inputs.size(1)))


class Recompute(torch.autograd.Function):
    """All steps of a layer."""

    @staticmethod
    def forward(ctx, arithmetic, *parts):
        inputs = nested(*parts)
        trace = arithmetic.run(forward_from_a_copy, arithmetic, inputs)
        ctx.arithmetic, ctx.rows, ctx.memory_span = arithmetic, inputs.rows, inputs.memory_span
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs.distance_bias, *inputs.weights, *trace)
        return trace.made()

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        distance_bias, *saved = ctx.saved_tensors
        weights, trace = (
            Weights(*saved[: -len(Trace._fields)]),
            Trace(*saved[-len(Trace._fields) :]),
        )
        found = ctx.arithmetic.run(
            backward,
            ctx.arithmetic,
            trace,
            weights,
            ctx.memory_span,
            distance_bias,
            ctx.rows,
            Steps(*gradients),
        )
        return None, *flat(found)
