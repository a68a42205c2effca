"""The recurrence with linear memory: a hand-written backward pass that recomputes the tanh.

B batch, T steps, P prefix slots, S source length, H hidden width. Of the attention only the
weights are kept, so that memory grows as B T H + B T^2 where plain autograd keeps B T^2 H.
`reference` is the version to read first; the passes are in `forward` and `backward`, what a step
consists of in `step_kernels`.
"""

import torch
from torch.autograd.function import once_differentiable

from fairseq_lstmn.ops import step_kernels
from fairseq_lstmn.ops.backward import backward
from fairseq_lstmn.ops.forward import forward
from fairseq_lstmn.ops.room import new_place, place_to_grow
from fairseq_lstmn.ops.trace import Trace
from fairseq_lstmn.ops.types import Inputs, Source, Steps, Tape, Weights

NO_SOURCE = Source(*[None] * len(Source._fields))


def directly(function, *arguments):
    return function(*arguments)


def steps(inputs, kernels=step_kernels, run=directly):
    """See ``reference.steps``. Without gradients the tape grows in place.

    Args:
        kernels: what a step consists of beside products, see ``step_kernels``.
        run: how a training pass, a function, is called with its arguments.
    """
    count = inputs.query_inputs.size(1)
    if torch.is_grad_enabled():
        if inputs.source is not None:
            inputs = inputs._replace(source=inputs.source.for_each(len(inputs.query_inputs)))
        made = Steps(*Recompute.apply(kernels, run, *flat(inputs)))
    else:
        place = place_to_grow(inputs.tape, count)
        made = forward(kernels, inputs, place).made()._replace(place=place.grow(count))
    if inputs.source is None:
        summary = inputs.tape.source_summary.unsqueeze(1)
        made = made._replace(source_summaries=summary.expand_as(made.summaries))
    return made


def flat(inputs):
    """``Inputs`` as arguments in one row: autograd sees no tensor inside a tuple."""
    query_inputs, gate_inputs, weights, tape, source, *others = inputs
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


def forward_from_a_copy(kernels, inputs):
    """``forward`` that leaves the tape where it stands."""
    return forward(kernels, inputs, new_place(inputs.tape, inputs.query_inputs.size(1)))


class Recompute(torch.autograd.Function):
    """All steps of a layer."""

    @staticmethod
    def forward(ctx, kernels, run, *parts):
        inputs = nested(*parts)
        trace = run(forward_from_a_copy, kernels, inputs)
        ctx.kernels, ctx.run = kernels, run
        ctx.rows, ctx.memory_span = inputs.rows, inputs.memory_span
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs.distance_bias, *inputs.weights, *trace)
        return trace.made()[:-1]

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients):
        distance_bias, *saved = ctx.saved_tensors
        weights, trace = (
            Weights(*saved[: -len(Trace._fields)]),
            Trace(*saved[-len(Trace._fields) :]),
        )
        found = ctx.run(
            backward,
            ctx.kernels,
            trace,
            weights,
            ctx.memory_span,
            distance_bias,
            ctx.rows,
            Steps(*gradients),
        )
        return None, None, *flat(found)
