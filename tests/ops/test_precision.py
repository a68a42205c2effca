"""Half precision and autocast."""

from functools import partial

import pytest
import torch

from .cases import MAY_BE_RAGGED, apply, assert_close, build, gradients, run


def under_autocast(arguments, backend):
    """The forward pass alone: torch asks for the backward pass to stand outside."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return run(arguments, backend)


@pytest.fixture
def arguments():
    drawn = build(
        steps=30, width=32, prefix=3, source=4, ragged=MAY_BE_RAGGED, memory_span=20, distances=2
    )
    return apply(torch.Tensor.float, drawn)


def test_autocast_leaves_float32_arguments_in_float32(backend, arguments):
    expected = gradients(partial(run, backend=backend), arguments)
    actual = gradients(partial(under_autocast, backend=backend), arguments)
    assert_close(actual[0], expected[0], 0)
    assert_close(actual[1], expected[1], 0)
    assert all(result.dtype == torch.float32 for result in actual[0].values())


def test_autocast_inputs_beside_float32_weights(backend, arguments):
    """As in a model: linear layers hand over bfloat16, the recurrence's weights are float32."""
    for name in ("query_inputs", "gate_inputs"):
        arguments[name] = arguments[name].bfloat16()
    expected = gradients(partial(run, backend="reference"), apply(torch.Tensor.double, arguments))
    actual = gradients(partial(under_autocast, backend=backend), arguments)
    # measured: 1.9e-3, the rounding of results and of the inputs' gradients to bfloat16
    assert_close(actual[0], expected[0], 3e-3)
    assert_close(actual[1], expected[1], 3e-3)
    assert all(result.dtype == torch.bfloat16 for result in actual[0].values())
    assert actual[1]["weights.key"].dtype == torch.float32
    assert actual[1]["gate_inputs"].dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_computed_in_float32(backend, arguments, dtype):
    """What comes back is the float32 result rounded once."""
    halves = apply(lambda tensor: tensor.to(dtype), arguments)
    expected = run(apply(torch.Tensor.float, halves), backend)
    rounded = apply(lambda tensor: tensor.to(dtype), expected)
    assert_close(run(halves, backend), rounded, 0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_scores_need_not_fit_in_half_precision(backend, arguments, dtype):
    """Sums of a few of them are infinite in float16, and all alike in bfloat16."""
    largest = torch.tensor([1.0, 1.0, -1.0]) * 6e4
    arguments["distance_bias"] = largest
    weights = arguments["weights"]
    arguments["weights"] = weights._replace(score=weights.score.sign() * 6e4)
    halves = apply(lambda tensor: tensor.to(dtype), arguments)
    expected = run(apply(torch.Tensor.float, halves), backend)
    found = run(halves, backend)
    assert all(result.isfinite().all() for result in found.values())
    assert_close(found, apply(lambda tensor: tensor.to(dtype), expected), 0)
