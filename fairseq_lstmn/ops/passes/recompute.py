"""The recurrence with linear memory: a hand-written backward pass that recomputes the tanh.

B batch, T steps, P prefix slots, S source length, H hidden width. Of the attention only the
weights are kept, so that memory grows as B T H + B T^2 where plain autograd keeps B T^2 H.
`reference` is the version to read first; the passes are in `forward` and `backward`, what a step
consists of in `step_kernels`.
"""

import torch

from fairseq_lstmn.ops.passes import derivatives, operators, step_kernels
from fairseq_lstmn.ops.types import Inputs, Results

IN_TORCH = operators.Arithmetic(step_kernels)
operators.provide("recompute", lambda: IN_TORCH)


def layer(inputs: Inputs, arithmetic: str | operators.Arithmetic = "recompute") -> Results:
    """See ``reference.layer``. A tape that has a room grows there, unless a compiler looks on.

    ``arithmetic`` is an ``Arithmetic``, or the name by which ``operators`` know it.
    """
    name = arithmetic if isinstance(arithmetic, str) else operators.name_of(arithmetic)
    made: Results
    if as_an_operator():
        if inputs.source is not None:
            inputs = inputs._replace(source=inputs.source.for_each(len(inputs.query_inputs)))
        made = derivatives.differentiable(name, inputs)
    else:
        made = operators.forward_in_place(operators.arithmetic_of(name).kernels, inputs).made()
    if inputs.source is None:
        assert inputs.tape.source_summary is not None
        summary = inputs.tape.source_summary.unsqueeze(1)
        made = made._replace(source_summaries=summary.expand_as(made.summaries))
    return made


def as_an_operator() -> bool:
    """Whether somebody wants gradients, or looks at what is done: a compiler, functorch."""
    return torch.is_grad_enabled() or torch.compiler.is_compiling() or derivatives.is_transformed()
