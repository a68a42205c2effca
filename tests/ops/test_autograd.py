"""A backend behaves as an ordinary torch operation under autograd."""

from functools import partial

import pytest
import torch

from .cases import MAY_BE_RAGGED, apply, assert_close, build, flat, gradients, run

LIMIT = 1e-12  # float64; measured at most 5e-15


@pytest.fixture
def arguments():
    return build(prefix=3, source=2, ragged=MAY_BE_RAGGED, distances=2, seed=5)


def loss_of(results):
    return sum(result.square().sum() for result in results.values())


def test_each_argument_alone_may_need_a_gradient(backend, arguments):
    leaves = flat(arguments)
    for tensor in leaves.values():
        tensor.requires_grad_()
    together = torch.autograd.grad(loss_of(run(arguments, backend)), list(leaves.values()))
    for tensor in leaves.values():
        tensor.requires_grad_(False)
    for (name, tensor), expected in zip(leaves.items(), together):
        tensor.requires_grad_()
        (found,) = torch.autograd.grad(loss_of(run(arguments, backend)), [tensor])
        tensor.requires_grad_(False)
        assert_close({name: found}, {name: expected}, LIMIT)


def test_each_result_alone_may_be_used(fast_backend, arguments):
    for name in run(arguments, "reference"):

        def only(parts, backend, name=name):
            return {name: run(parts, backend)[name]}

        _, actual = gradients(partial(only, backend=fast_backend), arguments)
        _, expected = gradients(partial(only, backend="reference"), arguments)
        assert_close(actual, expected, LIMIT)
        assert any(gradient.any() for gradient in expected.values()), name


def test_backward_runs_twice_on_a_retained_graph(backend, arguments):
    leaves = [tensor.requires_grad_() for tensor in flat(arguments).values()]
    loss = loss_of(run(arguments, backend))
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    second = torch.autograd.grad(loss, leaves)
    assert all(torch.equal(one, other) for one, other in zip(first, second))


def test_results_without_grad_are_the_same(backend, arguments):
    with_grad, _ = gradients(partial(run, backend=backend), arguments)
    with torch.no_grad():
        assert_close(run(arguments, backend), with_grad, 0)


def test_results_need_no_gradient_when_no_argument_does(backend, arguments):
    assert not any(result.requires_grad for result in run(arguments, backend).values())


def test_strides_do_not_matter(backend, arguments):
    """Time-major inputs, transposed weights and expanded rows, as models hand them over."""
    compute = partial(run, backend=backend)

    def strided(tensor):
        if tensor.dim() == 1:
            return torch.stack([tensor, tensor.neg()], dim=1)[:, 0]
        return tensor.transpose(0, 1).contiguous().transpose(0, 1)

    actual = gradients(lambda parts: compute(apply(strided, parts)), arguments)
    expected = gradients(compute, arguments)
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


def test_rows_of_inputs_may_overlap(backend):
    numbers = torch.linspace(-1, 1, 3 * 20, dtype=torch.float64).view(3, 20)
    overlapping = numbers.unfold(1, size=16, step=1)  # (B, T, 4H)
    actual = run(dict(build(), gate_inputs=overlapping), backend)
    assert_close(actual, run(dict(build(), gate_inputs=overlapping.clone()), backend), 0)


def test_cotangents_of_any_stride(fast_backend, arguments):
    """``sum`` hands back an expanded gradient of stride 0."""

    def summed(parts, backend):
        return {name: result.sum() for name, result in run(parts, backend).items()}

    _, actual = gradients(partial(summed, backend=fast_backend), arguments)
    _, expected = gradients(partial(summed, backend="reference"), arguments)
    assert_close(actual, expected, LIMIT)
