"""Every fast backend gives the reference's results and gradients, at real sizes and precisions.

The reference runs in float64, so that what is measured is the error of the backend alone.
"""

from functools import partial

import pytest
import torch

from .cases import MAY_BE_RAGGED, apply, assert_close, build, gradients, run

# Every pair of values of two columns stands in some row; the last rows have everything at once.
SIZES = [
    # T, H, B, P, S, ragged, span, R
    (1, 1, 3, 0, 0, True, 5, None),
    (1, 60, 3, 0, 6, False, 1, 3),
    (1, 300, 3, 7, 0, False, 0, None),
    (1, 500, 1, 0, 0, True, 5, None),
    (2, 1, 3, 7, 6, False, 5, 3),
    (2, 60, 3, 7, 6, True, 0, 3),
    (2, 300, 1, 0, 0, True, 1, None),
    (2, 500, 1, 0, 6, True, 0, 3),
    (63, 1, 1, 7, 0, True, 1, None),
    (63, 60, 3, 7, 6, False, 0, None),
    (63, 300, 1, 0, 6, False, 5, None),
    (63, 500, 3, 0, 6, True, 5, 3),
    (100, 1, 3, 0, 6, False, 0, 3),
    (100, 60, 1, 0, 0, True, 5, None),
    (100, 300, 1, 0, 0, True, 0, 3),
    (100, 500, 1, 7, 0, False, 1, 3),
    (63, 60, 3, 7, 6, True, 0, 3),
    (100, 300, 3, 7, 6, True, 0, 3),
    (100, 60, 3, 7, 6, True, 5, 3),
    (63, 300, 3, 7, 6, True, 0, 3, "shallow"),
    (100, 60, 3, 0, 6, False, 5, None, "token"),
]
NAMES = (
    "steps", "width", "batch", "prefix", "source", "ragged", "memory_span", "distances", "fusion",
)  # fmt: skip


def of_size(row, dtype):
    sizes = dict(zip(NAMES, row))
    sizes["ragged"] = MAY_BE_RAGGED if sizes["ragged"] else ()
    return apply(lambda tensor: tensor.to(dtype), build(**sizes))


def in_double(arguments):
    return apply(torch.Tensor.double, arguments)


def assert_like_reference(arguments, backend, results_limit, gradients_limit):
    actual = gradients(partial(run, backend=backend), arguments)
    expected = gradients(partial(run, backend="reference"), in_double(arguments))
    assert_close(actual[0], expected[0], results_limit)
    assert_close(actual[1], expected[1], gradients_limit)
    return actual


@pytest.mark.parametrize("row", SIZES, ids=str)
def test_in_float32(fast_backend, row):
    # measured: results 3e-7, gradients 2e-6; at H = 1 the gradient of a score is one number,
    # a sum that nearly cancels: 9e-6, as it is for the reference in float32
    arguments = of_size(row, torch.float32)
    limit = 1e-5 if arguments["query_inputs"].size(2) > 1 else 5e-5
    assert_like_reference(arguments, fast_backend, 1e-6, limit)


@pytest.fixture
def one_thread():
    """Backends may split a batch by how many threads there are: always the same here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_batch_of_the_size_that_is_trained_on(fast_backend, one_thread):
    """The paper's 40 sentences of 35 words at width 300: no cache holds a step's (B, t, H)."""
    arguments = of_size((35, 300, 40, 7, 6, True, 0, 3), torch.float32)
    # measured: results 2e-7, gradients 8e-7
    assert_like_reference(arguments, fast_backend, 1e-6, 1e-5)


# What is measured is the rounding of what comes back: 2e-3 and 2.4e-4
@pytest.mark.parametrize("dtype, limit", [(torch.bfloat16, 3e-3), (torch.float16, 5e-4)], ids=str)
@pytest.mark.parametrize("row", SIZES[-5:], ids=str)
def test_half_precisions_are_computed_in_float32(backend, row, dtype, limit):
    arguments = of_size(row, dtype)
    results, found = assert_like_reference(arguments, backend, limit, limit)
    assert {tensor.dtype for tensor in (*results.values(), *found.values())} == {dtype}


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
