"""Passes recorded and replayed: by CUDA where there is a device, else by calling them again."""

import gc
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Lock

import pytest
import torch

from fairseq_lstmn.ops import GrowingTape, Source, backends, lstmn
from fairseq_lstmn.ops.passes import operators, step_kernels
from fairseq_lstmn.ops.passes.inputs import Inputs
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.prepare import fill_in
from fairseq_lstmn.ops.triton import buckets, cuda_graphs, graphs
from fairseq_lstmn.ops.triton.arena import Shape, parts_of
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
    "a whole bucket": dict(steps=6, source=8),
    "one row": dict(batch=1, steps=1, source=1),
    "rows to spare": dict(batch=5, steps=5, prefix=2, source=7, ragged=MAY_BE_RAGGED),
    "span": dict(steps=5, prefix=2, memory_span=2, ragged=("steps",)),
    "deep": EVERYTHING,
    "shallow": dict(EVERYTHING, fusion="shallow"),
    "token": dict(EVERYTHING, fusion="token"),
}


def graphs_to_record():
    if DEVICE == "cuda":
        return graphs.Graphs(cuda_graphs.Cuda(torch.device("cuda", 0)))
    return StandIn().graphs


def counts(recorder):
    """How many passes are recorded, and of how many that are not it is known that they came."""
    return len(recorder.recorded), len(recorder.came)


class Workspace:
    mapped = True


class StandIn:
    """As ``cuda_graphs.Cuda``, which needs a device: a launch calls the pass again.

    After a turn nothing is left in the arena, as when others use that. All recordings have one
    workspace, which torch frees when one of them goes.
    """

    def __init__(self):
        self.capturing = False
        self.precision = "ieee"
        self.turns = Lock()
        self.waited = 0  # times
        self.free()
        self.graphs = graphs.Graphs(self)

    def is_capturing(self):
        return self.capturing

    def settings(self):
        return self.precision

    @contextmanager
    def in_turn(self):
        assert self.turns.acquire(blocking=False), "two launches at a time"
        try:
            yield
        finally:
            if self.graphs.arena.memory is not None:
                self.graphs.arena.memory.fill_(255)  # NaN
            self.turns.release()

    def finish(self):
        self.waited += 1

    def free(self):
        self.workspace = Workspace()

    def record(self, function):
        assert self.turns.locked(), "a recording out of turn"
        function()
        return Recording(self, function)


class Recording:
    def __init__(self, device, function):
        self.device, self.workspace, self.function = device, device.workspace, function

    def __call__(self):
        assert self.device.turns.locked(), "a launch out of turn"
        assert self.workspace.mapped, "an illegal address"
        self.function()

    def __del__(self):
        self.workspace.mapped = False


def without_values(function):
    """``function`` with tensors that have shapes only: an error if it asks for their values."""

    def called(*arguments):
        return function(*mapped(lambda part: part.to("meta"), arguments))

    return called


@pytest.fixture
def recorder(monkeypatch):
    """The graphs by which the backend ``recompute`` runs its passes."""
    recorder = graphs_to_record()
    kernels = buckets.InGraphs(Recompute(step_kernels), lambda device: recorder)
    monkeypatch.setitem(operators.KERNELS, "recorded", lambda: kernels)
    layer = partial(backends.in_graphs, "recorded", "recompute")
    backend = backends.BACKENDS["recompute"]._replace(layer=layer)
    monkeypatch.setitem(backends.BACKENDS, "recompute", backend)
    return recorder


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
    graph = graphs.Graph

    def record_without_values(function, shapes, arguments, *others):
        asked.append(without_values(function)(*mapped(empty, shapes, Shape)))
        return graph(function, shapes, arguments, *others)

    monkeypatch.setattr(graphs, "Graph", record_without_values)
    for seed in range(2):
        compare(build(**CASES[case], seed=seed))
    assert len(asked) == 2


def empty(shape):
    return torch.empty(shape.sizes, dtype=shape.dtype)


def test_sizes_within_a_bucket_share_their_graphs(recorder):
    for batch, steps, source in ((5, 12, 7), (6, 9, 8), (5, 10, 7)):
        compare(build(batch=batch, steps=steps, source=source))
    assert counts(recorder) == (2, 0)


def test_a_row_that_is_non_finite_stays_alone(recorder):
    """Neither the rows of its batch nor those that are padding take part in each other's."""
    for seed in range(3):
        arguments = build(batch=5, steps=5, prefix=1, source=5, seed=seed)
        arguments["query_inputs"][0] = float("nan")
        results, found = gradients(partial(run_on_device, backend="recompute"), arguments)
        for name, part in {**results, **found}.items():
            if not name.startswith("weights"):
                assert len(part) == 5 and part[1:].isfinite().all(), name
        assert results["outputs"][0].isnan().all() and found["weights.key"].isnan().all()
    assert counts(recorder) == (2, 0)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_scoring_and_training_after_it(recorder, mode):
    """Of rows that share a source's sentences too; the weights that nobody asks for are any."""
    arguments = build(batch=10, steps=5, prefix=1, source=5, ragged=["source"])
    keys, slots, *inputs, mask = arguments["source"]
    arguments["source"] = Source(keys[:5], slots[:5], *inputs, mask[:5])
    with mode():
        for count in range(3):
            actual = apply(torch.Tensor.cpu, flat(scores(arguments, "recompute")))
            assert counts(recorder) == ((0, 1) if count == 0 else (1, 0))
    assert_close(actual, flat(scores(arguments, "reference")), LIMIT)
    for _ in range(2):
        compare(build(seed=1))
    assert counts(recorder) == (3, 0)


def test_weights_that_nobody_asks_for_are_not_copied(recorder):
    arguments = on_device(build(steps=5, source=5))
    inputs = Inputs(*list(arguments.values())[:3], None, arguments["source"], 0, None)
    inputs = fill_in(inputs._replace(discard_attention=True))
    for _ in range(3):
        activations = operators.KERNELS["recorded"]().forward(inputs)
        for weights in (activations.attention, activations.source_attention):
            assert weights.shape == (3, 5, 5) and weights.stride(1) == 0
    assert counts(recorder) == (1, 0)


def scores(arguments, backend):
    outputs, tape, attention = lstmn(**on_device(arguments), backend=backend)
    assert attention is None
    return {"outputs": outputs, "tape": tape}


def test_a_growing_tape_is_not_recorded(recorder):
    with torch.no_grad():
        for _ in range(3):
            lstmn(**on_device(dict(build(steps=1), tape=GrowingTape())), backend="recompute")
    assert counts(recorder) == (0, 0)


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
    assert counts(recorder) == (3, 0)


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
    run_as_it_is(recorder, torch.square, ones)
    recorder.device.precision = other.pop("precision", "ieee")
    made = run_as_it_is(recorder, torch.square, ones.to(**other))
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


def run_as_it_is(recorder, function, *arguments):
    shapes = mapped(Shape.of, arguments)
    return recorder.run(function, arguments, shapes, lambda results: results)


@pytest.fixture
def bare():
    return graphs_to_record()


def product(square):
    """By cuBLAS, with its workspace, on a CUDA device."""
    return square @ square


def run_all(recorder, sizes):
    """Run a pass on (size, size) twos for each of ``sizes``."""
    for size in sizes:
        twos = torch.full((size, size), 2.0, device=DEVICE)
        assert torch.equal(run_as_it_is(recorder, product, twos), torch.full_like(twos, 4 * size))


@pytest.fixture
def two_fit(bare, monkeypatch):
    """A recorder of two passes that may give way after ten more calls."""
    bare.limit = 2
    monkeypatch.setattr(graphs, "IDLE", 10)
    return bare


def sizes_recorded(recorder):
    return [len(graph.arguments[0]) for graph in recorder.recorded.values()]


def test_passes_give_way_only_when_most_are_idle(two_fit):
    run_all(two_fit, [1, 1, 2, 2, 3, 3, 3])
    assert sizes_recorded(two_fit) == [1, 2]
    run_all(two_fit, [1] * 12 + [3])
    assert sizes_recorded(two_fit) == [1, 2]
    run_all(two_fit, [4] * 11)
    assert sizes_recorded(two_fit) == [4]
    run_all(two_fit, [1, 1, 3, 4])
    assert sizes_recorded(two_fit) == [4, 1]


def test_passes_go_together_and_those_that_come_have_a_workspace(two_fit):
    """Torch frees a workspace that other graphs have too."""
    run_all(two_fit, [1, 1, 2, 2])
    recordings = [weakref.ref(graph) for graph in two_fit.recorded.values()]
    run_all(two_fit, [3] * 12)
    gc.collect()
    assert not any(recording() for recording in recordings)
    run_all(two_fit, [3, 1, 1, 3])
    assert sizes_recorded(two_fit) == [3, 1]


def test_shapes_in_turn_do_not_drive_each_other_out(two_fit, monkeypatch):
    """A recording costs several launches: one for each of few is no gain."""
    records = []
    record = two_fit.device.record
    monkeypatch.setattr(
        two_fit.device, "record", lambda *given: records.append(given) or record(*given)
    )
    run_all(two_fit, [1, 2, 3, 4] * 50)
    assert len(records) == 2


def test_what_came_once_is_forgotten(bare, monkeypatch):
    monkeypatch.setattr(graphs, "REMEMBERED", 10)
    run_all(bare, range(1, 100))
    assert counts(bare) == (0, 10)


def test_all_passes_share_one_memory_as_large_as_the_largest_takes(bare):
    run_all(bare, [20, 20, 30, 30, 10, 10, 25, 25])
    first, *others = (graph.arguments[0] for graph in bare.recorded.values())
    assert len({part.untyped_storage().data_ptr() for part in others}) == 1
    assert first.untyped_storage().data_ptr() != others[0].untyped_storage().data_ptr()
    results = [parts_of(graph.results, torch.Tensor)[0] for graph in bare.recorded.values()]
    arguments = [graph.arguments[0] for graph in bare.recorded.values()]
    assert [part.data_ptr() for part in results] == [part.data_ptr() for part in arguments]
    assert bare.arena.memory.numel() <= 2 * 30 * 30 * 4
    run_all(bare, [20, 30, 10, 25])


def test_memory_is_freed(bare):
    run_all(bare, [1, 1, 2, 2])
    memory = weakref.ref(bare.arena.memory)
    bare.free()
    gc.collect()
    assert counts(bare) == (0, 0) and memory() is None
    run_all(bare, [2, 2, 2])


def test_training_goes_on_when_recordings_fill_the_memory(recorder, monkeypatch, caplog):
    run_all(recorder, [1, 1, 2, 2])
    record = recorder.device.record

    def fill(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(recorder.device, "record", fill)
    run_all(recorder, [3, 3])
    assert sizes_recorded(recorder) == []
    assert all(record.levelno < logging.WARNING for record in caplog.records)
    monkeypatch.setattr(recorder.device, "record", record)
    run_all(recorder, [1, 1, 2, 2, 3, 3])
    assert sizes_recorded(recorder) == [1]


def test_training_goes_on_when_a_recording_fails_otherwise(recorder, monkeypatch, caplog):
    """Those that are there go: they share with it what may be broken. One warning says so."""
    run_all(recorder, [1, 1])
    tried = []

    def fail(*args):
        tried.append(args)
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA says more")

    monkeypatch.setattr(recorder.device, "record", fail)
    for seed in range(4):
        compare(build(seed=seed))
    run_all(recorder, [1, 1])
    assert len(tried) == 1 and recorder.recorded == {}
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "CUDA graphs cannot be recorded here, so kernels are launched one by one: "
        "RuntimeError: operation not permitted when stream is capturing"
    )


def test_a_pass_that_fails_says_so_itself(bare):
    def fail(part):
        raise ValueError("a pass of no use")

    for _ in range(3):
        with pytest.raises(ValueError, match="of no use"):
            run_as_it_is(bare, fail, torch.ones(1, device=DEVICE))


@pytest.mark.skipif(DEVICE == "cuda", reason="looks into the stand-in")
def test_what_is_under_way_ends_before_its_memory_is_freed(two_fit):
    run_all(two_fit, [1, 1, 2, 2])
    assert two_fit.device.waited == 0
    run_all(two_fit, [3] * 12)
    assert two_fit.device.waited == 1
    two_fit.free()
    assert two_fit.device.waited == 2
