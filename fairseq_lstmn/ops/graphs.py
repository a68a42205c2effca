"""A layer's training passes as CUDA graphs, to spare Python several launches a step.

A pass is a function of nested tuples of tensors and constants that asks a device for nothing
back. It is recorded when arguments of a shape come for the second time, and from then on
launched as one. B batch, T steps, P prefix slots, S source length.
"""

from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from fairseq_lstmn.ops import recompute
from fairseq_lstmn.ops.types import Source, Steps, mapped

BUCKET = 8  # T and S are rounded up to its multiples, so that few shapes come
LIMIT = 32  # recorded passes: each keeps memory for its arguments, results and all between


def steps(inputs, arithmetic, graphs):
    """See ``reference.steps``; ``graphs`` run the passes where gradients are enabled."""
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
            graph = self.passes[shape] = Graph(function, arguments, self.record)
            self.left -= 1
        return function(*arguments) if graph is None else graph.run(arguments)


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

    What other threads ask of CUDA meanwhile does not spoil the recording.
    """
    aside = stream_aside(torch.cuda.current_device())
    aside.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(aside):
        function()  # what libraries set up for a stream cannot be recorded
        with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
            results = function()
    torch.cuda.current_stream().wait_stream(aside)
    return graph.replay, results


@cache
def stream_aside(device):
    """The stream of all recordings: libraries keep memory for each stream they have seen."""
    return torch.cuda.Stream(device)


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
