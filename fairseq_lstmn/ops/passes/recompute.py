"""The recurrence with linear memory: a hand-written backward pass that recomputes the tanh.

B batch, T steps, P prefix slots, S source length, H hidden width. Of the attention only the
weights are kept, so that memory grows as B T H + B T^2 where plain autograd keeps B T^2 H.
`reference` is the version to read first; the passes are in `forward` and `backward`, what a step
consists of in `step_kernels`.
"""

import torch

from fairseq_lstmn.ops.passes import derivatives, operators, step_kernels
from fairseq_lstmn.ops.passes.forward import forward
from fairseq_lstmn.ops.room import Room
from fairseq_lstmn.ops.types import mapped

IN_TORCH = operators.Arithmetic(step_kernels)
operators.provide("recompute", lambda: IN_TORCH)


def steps(inputs, arithmetic="recompute"):
    """See ``reference.steps``. Without gradients a tape that has a room grows there.

    ``arithmetic`` is an ``Arithmetic``, or the name by which ``operators`` know it.
    """
    name = arithmetic if isinstance(arithmetic, str) else operators.name_of(arithmetic)
    if as_an_operator():
        if inputs.source is not None:
            inputs = inputs._replace(source=inputs.source.for_each(len(inputs.query_inputs)))
        made = derivatives.steps(name, inputs)
    else:
        made = in_place(operators.arithmetic_of(name), inputs)
    if inputs.source is None:
        summary = inputs.tape.source_summary.unsqueeze(1)
        made = made._replace(source_summaries=summary.expand_as(made.summaries))
    return made


def as_an_operator():
    """Whether somebody wants gradients, or looks at what is done: a compiler, functorch."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling() or derivatives.is_transformed()


def in_place(arithmetic, inputs):
    """``steps`` for which a tape that has a room grows there."""
    room = inputs.room or Room.of(inputs.tape, inputs.query_inputs.size(1))
    apart = inputs._replace(tape=None, room=None)
    inputs = mapped(operators.rows_side_by_side, apart)._replace(tape=inputs.tape)
    return forward(arithmetic.kernels, inputs, room).made()
