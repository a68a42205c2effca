"""A layer's training passes as CUDA graphs: Python launches a step's kernels slower than they run.

A pass is a function of nested tuples of tensors and constants that asks a device for nothing
back. It is recorded when arguments of a shape come for the second time, and from then on
launched as one. B batch, T steps, P prefix slots, S source length.
"""

import logging
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from fairseq_lstmn.ops import recompute
from fairseq_lstmn.ops.types import Source, Steps, mapped

logger = logging.getLogger(__name__)
BUCKET = 8  # T and S are rounded up to its multiples, so that few shapes come
LIMIT = 32  # recorded passes: each holds memory for its arguments, results and all between


def steps(inputs, arithmetic, graphs):
    """See ``reference.steps``; ``graphs`` run the passes if there are gradients."""
    if not torch.is_grad_enabled():
        return recompute.steps(inputs, arithmetic)
    count, prefix = inputs.query_inputs.size(1), inputs.tape.hidden.size(1)
    slots = 0 if inputs.source is None else inputs.source.keys.size(1)
    made = recompute.steps(in_bucket(inputs), arithmetic._replace(run=graphs.run))
    return cut(made, count, prefix + count, slots)


def in_bucket(inputs):
    """``inputs`` with T and S rounded up: zeros behind the steps, masked slots in the source."""

    def longer(part):
        return None if part is None else pad(part, (0, 0, 0, -part.size(1) % BUCKET))

    source = inputs.source
    if source is not None:
        tensors = map(longer, (source.keys, source.slots, source.query_inputs, source.gate_inputs))
        mask = pad(source.mask, (0, -source.mask.size(1) % BUCKET))
        source = Source(*tensors, mask)
    return inputs._replace(
        query_inputs=longer(inputs.query_inputs),
        gate_inputs=longer(inputs.gate_inputs),
        tape=inputs.tape._replace(place=None),
        source=source,
        rows=None,  # how many rows still have a step differs from batch to batch
    )


def cut(made, steps, seen, slots):
    """What is left of ``Steps`` with T ``steps``, P + T ``seen`` and S ``slots``."""
    source_attention = made.source_attention
    return Steps(
        made.hidden[:, :seen],
        made.memory[:, :seen],
        made.keys[:, :seen],
        made.summaries[:, :steps],
        made.attention[:, :steps, :seen],
        made.source_summaries[:, :steps],
        None if source_attention is None else source_attention[:, :steps, :slots],
    )


class Graphs:
    """Passes by what they do and the shapes of their arguments; ``LIMIT`` of them are recorded.

    ``record``, see there, makes the graphs.
    """

    def __init__(self, record):
        self.record = record
        self.left = LIMIT  # to be recorded
        self.passes = {}  # a ``Graph``, None as long as it is not recorded

    def run(self, function, *arguments):
        """``function(*arguments)``; the results are the caller's own."""
        shape = function, shape_of(arguments)
        comes_again = shape in self.passes
        graph = self.passes.setdefault(shape, None)
        if comes_again and graph is None and self.left:
            graph = self.passes[shape] = self.recorded(function, arguments)
        return function(*arguments) if graph is None else graph.run(arguments)

    def recorded(self, function, arguments):
        """The pass as a graph; None, and no more of them, if it cannot be recorded."""
        try:
            self.left -= 1
            return Graph(function, arguments, self.record)
        except RuntimeError as error:
            self.left = 0
            reason = str(error).partition("\n")[0]
            logger.warning("training goes on without CUDA graphs: %s", reason)


class Graph:
    """A recorded pass, with the memory where it reads its arguments."""

    def __init__(self, function, arguments, record):
        self.arguments = mapped(Tensor.clone, arguments)
        self.replay, self.results = record(partial(function, *self.arguments))

    def run(self, arguments):
        for place, given in zip(tensors_in(self.arguments), tensors_in(arguments)):
            place.copy_(given)
        self.replay()
        return mapped(Tensor.clone, self.results)


def record(function):
    """A function that launches ``function()`` on the current device, and the results it writes.

    Other threads and streams may go on with theirs meanwhile: loaders, gradients under way.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        function()  # what libraries set up on a stream cannot be recorded
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        results = function()
    return graph.replay, results


def shape_of(value):
    """What tells whether a pass recorded for another value does for this one."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device
    return tuple(map(shape_of, value)) if isinstance(value, tuple) else value


def tensors_in(value):
    """The tensors in nested tuples, in ``mapped``'s order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors_in(part)
