"""Passes recorded and replayed: by CUDA where there is a device, else by calling them again."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from fairseq_lstmn.ops import backends, cpp, lstmn, triton
from fairseq_lstmn.ops.passes import operators, step_kernels
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.triton import graphs
from fairseq_lstmn.ops.types import mapped

from .cases import (
    BACKENDS,
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
from .recorders import counts, device_to_record_on

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


@pytest.mark.skipif("cpp" not in BACKENDS or DEVICE != "cpu", reason="needs kernels of the CPU")
def test_compiled_steps(recorder, monkeypatch):
    train_in_graphs(monkeypatch, cpp.step_kernels(), recorder)
    for seed in range(3):
        compare(build(**EVERYTHING, seed=seed))
    assert counts(recorder) == (2, 0)
