"""Passes recorded and replayed: by CUDA where there is a device, else by calling them again."""

import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock

import pytest
import torch

from fairseq_lstmn.ops import backends, lstmn, triton
from fairseq_lstmn.ops.passes import operators, step_kernels
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.triton import graphs
from fairseq_lstmn.ops.types import mapped

from .cases import (
    DEVICE,
    MAY_BE_RAGGED,
    apply,
    assert_close,
    build,
    flat,
    gradients,
    on_device,
    run_on_device,
)

LIMIT = 1e-12  # float64; measured at most 4e-15
EVERYTHING = dict(steps=11, prefix=3, source=5, ragged=MAY_BE_RAGGED, distances=2)
CASES = {
    "plain": dict(steps=5),
    "a whole bucket": dict(steps=triton.BUCKET, source=triton.BUCKET),
    "span": dict(steps=5, prefix=2, memory_span=2, ragged=("steps",)),
    "deep": EVERYTHING,
    "shallow": dict(EVERYTHING, fusion="shallow"),
    "token": dict(EVERYTHING, fusion="token"),
}


def device_to_record_on():
    return graphs.Cuda(torch.device("cuda", 0)) if DEVICE == "cuda" else StandIn()


def counts(recorder):
    """How many passes are recorded, and of how many that are not it is known that they came."""
    return len(recorder.recorded), len(recorder.came)


class StandIn:
    """As ``graphs.Cuda``, which needs a device: a launch calls the pass again.

    After a turn nothing is left of the results, as when others use their memory.
    """

    def __init__(self):
        self.capturing = False
        self.precision = "ieee"
        self.turns = Lock()
        self.written = []  # the results of the launch whose turn it is
        self.waited = 0  # times

    def is_capturing(self):
        return self.capturing

    def settings(self):
        return self.precision

    @contextmanager
    def in_turn(self):
        assert self.turns.acquire(blocking=False), "two launches at a time"
        yield
        for place in self.written:
            place.fill_(float("nan"))
        self.written = []
        self.turns.release()

    def finish(self):
        self.waited += 1

    def record(self, function, pool):
        results = function()

        def replay():
            assert self.turns.locked(), "a launch out of turn"
            self.written = list(graphs.tensors_in(results))
            for place, made in zip(self.written, graphs.tensors_in(function())):
                place.copy_(made)

        return graphs.Recording(replay, results, pool or object())


def without_values(function):
    """``function()`` of tensors that have shapes only: an error if it asks for their values."""
    shapes = mapped(lambda part: part.to("meta"), function.args)
    return function.func(*shapes)


@pytest.fixture
def recorder(monkeypatch):
    """The graphs by which the backend ``recompute`` runs its passes."""
    recorder = graphs.Graphs(device_to_record_on())
    train_in_graphs(monkeypatch, step_kernels, recorder)
    layer = partial(backends.trained_in_graphs, "recorded", "recompute")
    backend = backends.BACKENDS["recompute"]._replace(layer=layer)
    monkeypatch.setitem(backends.BACKENDS, "recompute", backend)
    return recorder


def train_in_graphs(monkeypatch, kernels_of_a_step, recorder):
    kernels = triton.InGraphs(Recompute(kernels_of_a_step), lambda device: recorder)
    monkeypatch.setitem(operators.KERNELS, "recorded", lambda: kernels)


def compare(arguments):
    """The results and gradients of the recorded backend are the reference's."""
    actual = gradients(partial(run_on_device, backend="recompute"), arguments)
    expected = gradients(partial(run_on_device, backend="reference"), arguments)
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


@pytest.mark.parametrize("case", CASES)
def test_batches_of_a_shape(recorder, case):
    for seed, expected in enumerate([(0, 2), (2, 0), (2, 0), (2, 0)]):  # forward, backward
        compare(build(**CASES[case], seed=seed))  # of other lengths and masks, where ragged
        assert counts(recorder) == expected


@pytest.mark.parametrize("case", CASES)
def test_passes_ask_the_device_for_nothing(recorder, case, monkeypatch):
    """Whatever does cannot be recorded."""
    asked = []
    record = recorder.device.record

    def record_without_values(function, pool):
        without_values(function)
        asked.append(function)
        return record(function, pool)

    monkeypatch.setattr(recorder.device, "record", record_without_values)
    for seed in range(2):
        compare(build(**CASES[case], seed=seed))
    assert len(asked) == 2


def test_sizes_within_a_bucket_share_their_graphs(recorder):
    for steps, source in ((3, 8), (8, 1), (5, 5)):
        compare(build(steps=steps, source=source))
    assert counts(recorder) == (2, 0)


def test_another_shape_or_option_is_another_pass(recorder):
    for case in (dict(), dict(batch=2), dict(prefix=1), dict(memory_span=2), dict(distances=1)):
        compare(build(**case))
    assert counts(recorder) == (0, 10)


def test_batches_may_wait_for_their_gradients(recorder):
    """As the same layer reading two texts before the loss of both is known."""

    def both(backend):
        batches = [apply(torch.Tensor.requires_grad_, build(seed=seed)) for seed in range(4)]
        results = [run_on_device(arguments, backend) for arguments in batches]
        loss = sum(part.square().sum() for result in results for part in flat(result).values())
        leaves = [leaf for arguments in batches for leaf in flat(arguments).values()]
        found = torch.autograd.grad(loss, leaves)
        return {str(number): gradient for number, gradient in enumerate(found)}

    assert_close(both("recompute"), both("reference"), LIMIT)
    assert counts(recorder) == (2, 0)


def test_tapes_that_grew_without_gradients(recorder):
    for seed in range(2):
        with torch.no_grad():
            _, tape, _ = lstmn(**on_device(build(seed=seed)), backend="recompute")
        compare(dict(build(seed=2 + seed), tape=tape))
    assert counts(recorder) == (2, 0)


def test_results_stay_when_the_graph_runs_again(recorder):
    arguments = [apply(torch.Tensor.requires_grad_, build(seed=seed)) for seed in range(3)]
    results = [run_on_device(of, "recompute")["outputs"] for of in arguments]
    for of, result in zip(arguments, results):
        assert_close({"": result}, {"": run_on_device(of, "reference")["outputs"]}, LIMIT)


@pytest.mark.skipif(DEVICE == "cuda", reason="needs the stand-in")
def test_within_somebodys_own_recording_the_pass_runs_directly(recorder):
    for seed in range(3):
        recorder.device.capturing = seed > 0
        compare(build(seed=seed))
    assert counts(recorder) == (0, 2)


@pytest.mark.parametrize(
    "other",
    [
        dict(dtype=torch.float32),
        dict(device="meta"),
        pytest.param(
            dict(precision="tf32"),
            marks=pytest.mark.skipif(DEVICE == "cuda", reason="needs the stand-in"),
        ),
    ],
    ids=str,
)
def test_other_numbers_are_another_pass(recorder, other):
    ones = torch.ones(3, dtype=torch.float64, device=DEVICE)
    recorder.run(torch.square, ones)
    recorder.device.precision = other.pop("precision", "ieee")
    made = recorder.run(torch.square, ones.to(**other))
    assert counts(recorder) == (0, 2)
    assert (made.dtype, made.device) == (ones.to(**other).dtype, ones.to(**other).device)


def test_single_precision_between_batches_in_double(recorder):
    for dtype in (torch.float64, torch.float32) * 3:
        arguments = apply(lambda part: part.to(dtype), build())
        actual = gradients(partial(run_on_device, backend="recompute"), arguments)
        expected = gradients(partial(run_on_device, backend="reference"), arguments)
        for made, wanted in zip(actual, expected):
            assert {part.dtype for part in made.values()} == {dtype}
            assert_close(made, wanted, LIMIT if dtype == torch.float64 else 1e-5)
    assert counts(recorder) == (4, 0)


def test_threads_take_turns(recorder):
    """Each finds its own results, forward and backward, in the buffers that all share."""
    batches = [build(seed=seed) for seed in range(4)]
    expected = [gradients(partial(run_on_device, backend="reference"), of) for of in batches]

    def computed(number):
        return gradients(partial(run_on_device, backend="recompute"), batches[number % 4])

    with ThreadPoolExecutor(4) as threads:
        for number, actual in enumerate(threads.map(computed, range(100))):
            assert_close(actual[0], expected[number % 4][0], LIMIT)
            assert_close(actual[1], expected[number % 4][1], LIMIT)
    assert counts(recorder) == (2, 0)


# which passes stay recorded, and what becomes of the memory of those that do not


@pytest.fixture
def bare():
    return graphs.Graphs(device_to_record_on())


def run_all(recorder, sizes):
    """``run`` a pass on (size,) twos for each of ``sizes``."""
    for size in sizes:
        two = torch.full((size,), 2.0, device=DEVICE)
        assert torch.equal(recorder.run(torch.square, two), two.square())


@pytest.fixture
def two_fit(bare, monkeypatch):
    """A recorder of two passes that may give way after ten more calls."""
    bare.limit = 2
    monkeypatch.setattr(graphs, "IDLE", 10)
    return bare


def sizes_recorded(recorder):
    return [graph.arguments[0].numel() for graph in recorder.recorded.values()]


def test_passes_give_way_only_when_they_are_idle(two_fit):
    run_all(two_fit, [1, 1, 2, 2, 3, 3, 3])
    assert sizes_recorded(two_fit) == [1, 2]
    run_all(two_fit, [1] * 8 + [3])
    assert sizes_recorded(two_fit) == [1, 3]


def test_shapes_in_turn_do_not_drive_each_other_out(two_fit, monkeypatch):
    """A recording costs several launches: one for each of few is no gain."""
    records = []
    record = two_fit.device.record
    monkeypatch.setattr(
        two_fit.device, "record", lambda *given: records.append(given) or record(*given)
    )
    run_all(two_fit, [1, 2, 3, 4] * 50)
    assert len(records) == 2


def test_what_came_once_is_forgotten(two_fit):
    run_all(two_fit, range(1, 100))
    assert counts(two_fit) == (0, 10)


def test_memory_is_shared_and_freed(bare):
    recorder = bare
    run_all(recorder, [1, 1, 2, 2])
    kept = [weakref.ref(part) for of in recorder.recorded.values() for part in memory(of)]
    assert len({graph.pool for graph in recorder.recorded.values()}) == 1
    recorder.free()
    assert counts(recorder) == (0, 0) and not any(part() is not None for part in kept)
    run_all(recorder, [2, 2])


def memory(graph):
    return [*graphs.tensors_in(graph.arguments), *graphs.tensors_in(graph.results)]


def test_a_pass_that_gives_way_frees_its_memory(two_fit):
    run_all(two_fit, [1, 1, 2, 2])
    kept = [weakref.ref(part) for part in memory(next(iter(two_fit.recorded.values())))]
    run_all(two_fit, [2] * 11 + [3, 3])
    assert sizes_recorded(two_fit) == [2, 3] and not any(part() is not None for part in kept)


def test_training_goes_on_when_recordings_fill_the_memory(recorder, monkeypatch):
    run_all(recorder, [1, 1, 2, 2])
    record = recorder.device.record

    def fill(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(recorder.device, "record", fill)
    run_all(recorder, [3, 3])
    assert sizes_recorded(recorder) == []
    monkeypatch.setattr(recorder.device, "record", record)
    run_all(recorder, [1, 1, 2, 2, 3, 3])
    assert sizes_recorded(recorder) == [1]


def test_a_recording_that_fails_otherwise_raises(recorder, monkeypatch):
    def fail(*args):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorder.device, "record", fail)
    run_all(recorder, [1])
    with pytest.raises(RuntimeError, match="not permitted"):
        run_all(recorder, [1])


@pytest.mark.skipif(DEVICE == "cuda", reason="looks into the stand-in")
def test_what_is_under_way_ends_before_its_memory_is_freed(two_fit):
    run_all(two_fit, [1, 1, 2, 2])
    assert two_fit.device.waited == 0
    run_all(two_fit, [2] * 11 + [3, 3])
    assert two_fit.device.waited == 1
    two_fit.free()
    assert two_fit.device.waited == 2
