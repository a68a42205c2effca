"""Passes recorded and replayed: by CUDA where there is a device, else by calling them again."""

from functools import partial

import pytest
import torch

from fairseq_lstmn.ops import backends, compiled, graphs, lstmn, recompute
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

LIMIT = 1e-12  # float64; measured at most 4e-15
EVERYTHING = dict(steps=11, prefix=3, source=5, ragged=MAY_BE_RAGGED, distances=2)
CASES = {
    "plain": dict(steps=5),
    "a whole bucket": dict(steps=graphs.BUCKET, source=graphs.BUCKET),
    "span": dict(steps=5, prefix=2, memory_span=2, ragged=("steps",)),
    "deep": EVERYTHING,
    "shallow": dict(EVERYTHING, fusion="shallow"),
    "token": dict(EVERYTHING, fusion="token"),
}


def called_again(function):
    """As ``graphs.record``, which needs a device: results go where the first ones stand."""
    results = function()

    def replay():
        for place, made in zip(graphs.tensors_in(results), graphs.tensors_in(function())):
            place.copy_(made)

    return replay, results


def without_values(function):
    """``function()`` of tensors that have shapes only: an error if it asks for their values."""
    shapes = mapped(lambda part: part.to("meta"), function.args)
    return function.func(*shapes)


@pytest.fixture
def recorder(monkeypatch):
    """The graphs by which the backend ``recompute`` runs its passes."""
    recorder = graphs.Graphs(graphs.record if DEVICE == "cuda" else called_again)
    patch_steps(monkeypatch, lambda inputs: graphs.steps(inputs, recompute.IN_TORCH, recorder))
    return recorder


def patch_steps(monkeypatch, steps):
    backend = backends.BACKENDS["recompute"]._replace(steps=steps)
    monkeypatch.setitem(backends.BACKENDS, "recompute", backend)


def recorded(recorder):
    return [graph is not None for graph in recorder.passes.values()]


def compare(arguments):
    """The results and gradients of the recorded backend are the reference's."""
    actual = gradients(partial(run_on_device, backend="recompute"), arguments)
    expected = gradients(partial(run_on_device, backend="reference"), arguments)
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


@pytest.mark.parametrize("case", CASES)
def test_batches_of_a_shape(recorder, case):
    for seed, is_recorded in enumerate([False, True, True, True]):
        compare(build(**CASES[case], seed=seed))  # of other lengths and masks, where ragged
        assert recorded(recorder) == [is_recorded] * 2  # forward, backward


@pytest.mark.parametrize("case", CASES)
def test_passes_ask_the_device_for_nothing(recorder, case):
    """Whatever does cannot be recorded."""
    asked = []

    def record(function):
        without_values(function)
        asked.append(function)
        return called_again(function)

    recorder.record = record
    for seed in range(2):
        compare(build(**CASES[case], seed=seed))
    assert len(asked) == 2


def test_sizes_within_a_bucket_share_their_graphs(recorder):
    for steps, source in ((3, 8), (8, 1), (5, 5)):
        compare(build(steps=steps, source=source))
    assert recorded(recorder) == [True, True]


def test_another_shape_or_option_is_another_pass(recorder):
    for case in (dict(), dict(batch=2), dict(prefix=1), dict(memory_span=2), dict(distances=1)):
        compare(build(**case))
    assert recorded(recorder) == [False] * 10


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
    assert recorded(recorder) == [True, True]


def test_tapes_that_grew_without_gradients(recorder):
    for seed in range(2):
        with torch.no_grad():
            _, tape, _ = lstmn(**on_device(build(seed=seed)), backend="recompute")
        compare(dict(build(seed=2 + seed), tape=tape))
    assert recorded(recorder) == [True, True]


def test_results_stay_when_the_graph_runs_again(recorder):
    arguments = [apply(torch.Tensor.requires_grad_, build(seed=seed)) for seed in range(3)]
    results = [run_on_device(of, "recompute")["outputs"] for of in arguments]
    for of, result in zip(arguments, results):
        assert_close({"": result}, {"": run_on_device(of, "reference")["outputs"]}, LIMIT)


def test_no_more_passes_are_recorded_than_memory_is_kept_for(recorder):
    recorder.left = 2
    for batch in (1, 2, 2, 1, 2, 1):
        compare(build(batch=batch))
    assert recorded(recorder) == [False, False, True, True]  # of batches of 1, of 2


@pytest.mark.skipif("cpp" not in BACKENDS or DEVICE != "cpu", reason="needs kernels of the CPU")
def test_compiled_steps(recorder, monkeypatch):
    def steps(inputs):
        arithmetic = compiled.arithmetic(torch.ops.fairseq_lstmn)
        return graphs.steps(compiled.for_kernels(inputs), arithmetic, recorder)

    patch_steps(monkeypatch, steps)
    for seed in range(3):
        compare(build(**EVERYTHING, seed=seed))
    assert recorded(recorder) == [True, True]
