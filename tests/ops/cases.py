"""Arguments for the recurrence with each part of its contract on or off, and what to measure.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

import zlib

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fairseq_lstmn.ops import Source, Tape, Weights, backends, lstmn
from fairseq_lstmn.ops.types import mapped

BACKENDS = [name for name, obstacle in backends.report() if obstacle is None]
FAST_BACKENDS = [name for name in BACKENDS if name != "reference"]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VANISHING = 1e-13  # sums that cancel leave up to that in float64; smaller tensors have 0 digits
MAY_BE_RAGGED = ("steps", "prefix", "source")


def build(
    batch=3,
    steps=5,
    width=4,
    prefix=0,
    source=0,
    ragged=(),
    memory_span=0,
    distances=None,
    fusion="deep",
    seed=0,
):
    """Keyword arguments of ``lstmn`` in float64.

    ``fusion`` is deep, shallow, or token: shallow with a query that does not know what has been
    read. ``prefix`` and ``source`` are slots (0: None is passed), ``distances`` is R (None: no
    bias), ``ragged`` names which of steps, prefix and source differ from row to row; what
    stands at their padding is as random as the rest. Inputs have a standard deviation of 1,
    so that gates saturate, and attention is neither flat nor all on one slot.
    """
    draw = Draw(batch, width, seed)
    arguments = {
        "query_inputs": draw.normal(batch, steps, width),
        "gate_inputs": draw.normal(batch, steps, 4 * width),
        "weights": draw.weights(fusion if source else None),
        "tape": draw.tape(prefix, with_source=source > 0) if prefix else None,
        "source": draw.source(source, steps, fusion) if source else None,
        "lengths": draw.lengths(steps) if "steps" in ragged else None,
        "memory_span": memory_span,
        "distance_bias": None if distances is None else draw.normal(distances + 1),
    }
    if prefix and "prefix" in ragged:
        arguments["tape"] = arguments["tape"]._replace(lengths=draw.lengths(prefix))
    if source and "source" in ragged:
        arguments["source"] = arguments["source"]._replace(mask=draw.mask(source))
    return arguments


class Draw:
    """Random parts of the arguments of a batch of one size."""

    def __init__(self, batch, width, seed):
        self.batch, self.width = batch, width
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def vectors(self, *shape):
        return self.normal(self.batch, *shape, self.width)

    def matrix(self, outputs):
        return self.normal(outputs, self.width) / self.width**0.5

    def score(self):
        return self.normal(self.width) * 3 / self.width**0.5

    def weights(self, fusion):
        width = self.width
        own = (self.matrix(width), self.matrix(width), self.score(), self.matrix(4 * width))
        if fusion is None:
            return Weights(*own)
        query, score = self.matrix(width), self.score()
        gate = self.matrix(width if fusion == "deep" else 4 * width)
        return Weights(*own, None if fusion == "token" else query, score, gate)

    def tape(self, slots, with_source):
        hidden, memory, keys = (self.vectors(slots) for _ in range(3))
        source_summary = self.vectors() if with_source else None
        return Tape(hidden, memory, keys, self.vectors(), source_summary)

    def source(self, slots, steps, fusion):
        keys, hidden, memory = (self.vectors(slots) for _ in range(3))
        queries, gates = self.vectors(steps), self.vectors(steps)
        if fusion == "deep":
            return Source(keys, torch.cat([hidden, memory], dim=2), queries, gates)
        return Source(keys, hidden, queries, None)

    def lengths(self, longest):
        """(B,) from 0 on; the first row has at least half, so that a single row has some."""
        drawn = torch.randint(0, longest + 1, (self.batch,), generator=self.generator)
        drawn[0] = drawn[0].clamp(min=(longest + 1) // 2)
        return drawn

    def mask(self, slots):
        """(B, S), some rows may be all False; the first has at least half of its slots."""
        drawn = torch.rand(self.batch, slots, generator=self.generator) < 0.6
        drawn[0, : (slots + 1) // 2] = True
        return drawn


def alone(arguments, row):
    """``arguments`` of one row of the batch with nothing padded: no lengths, no mask."""
    lengths, tape, source = (arguments[name] for name in ("lengths", "tape", "source"))
    steps = arguments["query_inputs"].size(1) if lengths is None else int(lengths[row])

    def read(inputs):
        return inputs[row : row + 1, :steps]

    if tape is not None:
        first = 0 if tape.lengths is None else tape.hidden.size(1) - int(tape.lengths[row])
        slots = [None if part is None else part[row : row + 1, first:] for part in tape[:3]]
        summaries = [None if part is None else part[row : row + 1] for part in tape[3:5]]
        tape = Tape(*slots, *summaries)
    if source is not None:
        real = slice(None) if source.mask is None else source.mask[row]
        tapes = [part[row : row + 1, real] for part in source[:2]]
        inputs = [part if part is None else read(part) for part in source[2:4]]
        source = Source(*tapes, *inputs)
    return dict(
        arguments,
        query_inputs=read(arguments["query_inputs"]),
        gate_inputs=read(arguments["gate_inputs"]),
        tape=tape,
        source=source,
        lengths=None,
    )


def run(arguments, backend):
    """All results of ``lstmn`` by name: outputs, the final tape's fields, attention."""
    outputs, tape, attention = lstmn(**arguments, return_attention=True, backend=backend)
    return flat({"outputs": outputs, "tape": tape, "attention": attention})


def on_device(arguments):
    return {name: mapped(lambda part: part.to(DEVICE), of) for name, of in arguments.items()}


def run_on_device(arguments, backend):
    """``run`` on a CUDA device if there is one, with the results back on the CPU."""
    return apply(torch.Tensor.cpu, run(on_device(arguments), backend))


def gradients(compute, arguments):
    """The results of ``compute(arguments)`` and the gradients of every floating argument.

    Random cotangents of standard deviation 1 stand on all results. They depend on the result's
    name alone and are exact in half precision: whoever computes it is asked the same question.
    """
    arguments = apply(lambda tensor: tensor.detach().clone().requires_grad_(), arguments)
    results = compute(arguments)
    loss = 0.0
    for name, result in results.items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        cotangent = torch.randn(result.shape, generator=generator).bfloat16().double()
        loss = loss + (result.double() * cotangent).sum()
    leaves = flat(arguments)
    found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return apply(torch.Tensor.detach, results), dict(zip(leaves, found))


def apply(change, value):
    """``value`` with ``change`` done to every floating tensor in its dicts and named tuples."""
    if isinstance(value, torch.Tensor):
        return change(value) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: apply(change, part) for name, part in value.items()}
    if isinstance(value, tuple):
        return type(value)(*(apply(change, part) for part in value))
    return value


def flat(value, name=""):
    """Every floating tensor in dicts and named tuples by dotted name, in ``apply``'s order."""
    if isinstance(value, torch.Tensor):
        return {name: value} if value.is_floating_point() else {}
    if isinstance(value, tuple):
        value = value._asdict()
    found = {}
    for key, part in value.items() if isinstance(value, dict) else ():
        found.update(flat(part, f"{name}.{key}" if name else key))
    return found


def error(actual, expected):
    """RMS(difference) / RMS(expected); what ought to vanish, in float64, is held to 1% of 1."""
    difference = actual.double() - expected.double()
    if difference.numel() == 0:
        return 0.0
    size = rms(expected.double())
    return (rms(difference) / (size if size > VANISHING else 0.01)).item()


def rms(tensor):
    return tensor.square().mean().sqrt()


def assert_close(actual, expected, limit):
    """Every tensor of ``expected`` has its like in ``actual``, within ``limit`` by ``error``."""
    shapes = {name: tensor.shape for name, tensor in expected.items()}
    assert {name: actual[name].shape for name in expected} == shapes
    errors = {name: error(actual[name], expected[name]) for name in expected}
    beyond = {name: value for name, value in errors.items() if not value <= limit}
    assert not beyond, f"RMS(difference) / RMS(expected) above {limit}: {beyond}"


# small arguments of every shape for property tests
SMALL = dict(
    steps=st.integers(1, 6),
    width=st.integers(1, 3),
    prefix=st.integers(0, 4),
    source=st.integers(0, 3),
    memory_span=st.integers(0, 4),
    distances=st.none() | st.integers(0, 3),
    fusion=st.sampled_from(["deep", "shallow", "token"]),
    seed=st.integers(0, 1000),
)
whole_rows = st.builds(build, batch=st.just(1), **SMALL)
any_arguments = st.builds(
    build, batch=st.integers(1, 3), ragged=st.sets(st.sampled_from(MAY_BE_RAGGED)), **SMALL
)

# the same examples every time
repeatable = settings(
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
