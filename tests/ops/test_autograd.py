"""A backend behaves as an ordinary torch operation under autograd.

Gradients are right, by finite differences too; derivatives beyond one ordinary backward pass are
right or one line that names the reference.
"""

from functools import partial

import pytest
import torch
from torch.autograd import forward_ad, functional, gradcheck

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import Weights, lstmn

from .cases import MAY_BE_RAGGED, apply, assert_close, build, flat, gradients, run

ALL_AT_ONCE = {"prefix": 3, "source": 2, "ragged": MAY_BE_RAGGED, "distances": 1}


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"steps": 1},
        {"prefix": 2},
        {"source": 2},
        {"distances": 1},
        {"memory_span": 1},
        {"memory_span": 2, "prefix": 3},
        {"ragged": ["steps"]},
        ALL_AT_ONCE,
        {**ALL_AT_ONCE, "memory_span": 2},
        {**ALL_AT_ONCE, "fusion": "shallow"},
        {**ALL_AT_ONCE, "fusion": "token"},
    ],
    ids=str,
)
def test_gradients_of_all_results_by_all_arguments(backend, sizes):
    arguments = build(**{"batch": 2, "steps": 3, "width": 2, "seed": 1, **sizes})
    tensors = [tensor.requires_grad_() for tensor in flat(arguments).values()]

    def results(*tensors):
        remaining = iter(tensors)
        replaced = apply(lambda _: next(remaining), arguments)
        return tuple(run(replaced, backend).values())

    # central differences with steps of 1e-6: their own error is about 1e-9
    assert gradcheck(results, tensors, eps=1e-6, atol=1e-7, rtol=1e-5)


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


def test_rows_of_inputs_may_overlap(backend):
    numbers = torch.linspace(-1, 1, 3 * 20, dtype=torch.float64).view(3, 20)
    overlapping = numbers.unfold(1, size=16, step=1)  # (B, T, 4H)
    actual = run(dict(build(), gate_inputs=overlapping), backend)
    assert_close(actual, run(dict(build(), gate_inputs=overlapping.clone()), backend), 0)


@pytest.fixture
def loss(fast_backend):
    """A scalar function of ``query_inputs`` (B, T, H), quadratic in the outputs."""
    arguments = build(source=2, prefix=2)

    def loss(query_inputs):
        changed = dict(arguments, query_inputs=query_inputs)
        return lstmn(**changed, backend=fast_backend)[0].square().sum()

    return loss


@pytest.fixture
def x():
    return build(seed=1)["query_inputs"]


def first_gradient(loss, x):
    return torch.autograd.grad(loss(x), x, create_graph=True)[0]


def gradient_penalty(loss, x):
    return first_gradient(loss, x.requires_grad_()).square().sum().backward()


def gradient_of_gradient(loss, x):
    (found,) = torch.autograd.grad(loss(x.requires_grad_()), x, create_graph=True)
    return torch.autograd.grad(found.sum(), x)


def dual(loss, x):
    with torch.no_grad(), forward_ad.dual_level():
        return loss(forward_ad.make_dual(x, torch.ones_like(x)))


def batched_gradients(loss, x):
    loss_of_x = loss(x.requires_grad_())
    return torch.autograd.grad(loss_of_x, x, torch.ones(3, dtype=x.dtype), is_grads_batched=True)


@pytest.mark.parametrize(
    "derive",
    [
        gradient_penalty,
        gradient_of_gradient,
        lambda loss, x: functional.hvp(loss, x, torch.ones_like(x)),
        lambda loss, x: functional.vhp(loss, x, torch.ones_like(x)),
        lambda loss, x: functional.hessian(loss, x),
        lambda loss, x: functional.jvp(loss, x, torch.ones_like(x)),
        lambda loss, x: functional.jacobian(
            partial(first_gradient, loss), x.requires_grad_(), create_graph=False
        ),
        lambda loss, x: torch.func.grad(lambda x: torch.func.grad(loss)(x).sum())(x),
        lambda loss, x: torch.func.hessian(loss)(x),
        lambda loss, x: torch.func.jvp(loss, (x,), (torch.ones_like(x),)),
        dual,
        batched_gradients,
    ],
)
def test_what_fast_backends_lack_names_the_reference(loss, x, derive):
    with pytest.raises(InputError, match="backend='reference'") as raised:
        derive(loss, x)
    assert "\n" not in str(raised.value)


def test_the_reference_has_second_derivatives():
    arguments = build(batch=1, steps=2, width=2, source=2)

    def outputs(query_inputs):
        return lstmn(**dict(arguments, query_inputs=query_inputs), backend="reference")[0]

    x = arguments["query_inputs"].requires_grad_()
    assert torch.autograd.gradgradcheck(outputs, [x])


def test_a_graph_of_the_gradient_does_not_change_it(loss, x):
    x.requires_grad_()
    plain = torch.autograd.grad(loss(x), x)[0]
    assert torch.equal(first_gradient(loss, x), plain)


@pytest.mark.parametrize("dim", [0, 1, 3])
def test_functorch(loss, x, dim):
    """``grad`` and ``vmap``, the batch along any dimension."""
    batch = torch.stack([x, 2 * x])
    expected = torch.stack([first_gradient(loss, each.requires_grad_()) for each in batch])
    several = batch.detach().movedim(0, dim)
    actual = torch.func.vmap(torch.func.grad(loss), in_dims=dim)(several)
    assert_close({"": actual}, {"": expected}, LIMIT)
    with torch.no_grad():
        losses = torch.stack([loss(each) for each in batch])
        assert_close({"": torch.func.vmap(loss, in_dims=dim)(several)}, {"": losses}, LIMIT)


def test_gradients_for_each_example(fast_backend):
    """Of shared weights, by ``vmap`` over the rows of a batch."""
    arguments = build()
    weights = arguments["weights"][:4]  # those that there are without a source
    inputs = arguments["query_inputs"], arguments["gate_inputs"]

    def loss(weights, *inputs):
        rows = [part.unsqueeze(0) for part in inputs]
        return lstmn(*rows, Weights(*weights), backend=fast_backend)[0].square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weights, *inputs)
    leaves = [part.clone().requires_grad_() for part in weights]
    for b, row in enumerate(zip(*inputs)):
        own = torch.autograd.grad(loss(leaves, *row), leaves)
        assert_close(numbered(part[b] for part in found), numbered(own), LIMIT)


def numbered(tensors):
    return {str(number): tensor for number, tensor in enumerate(tensors)}


@pytest.mark.parametrize("keys", ["given", "projected"])
def test_backward_inside_autocast_has_the_precision_of_the_forward_pass(fast_backend, keys):
    arguments = build(batch=4, steps=9, width=32, prefix=3, source=5)
    arguments = apply(torch.Tensor.float, arguments)
    if keys == "projected":
        arguments["tape"] = arguments["tape"]._replace(keys=None)
    arguments = apply(torch.Tensor.requires_grad_, arguments)
    leaves = flat(arguments)

    def asked():
        loss = sum(result.square().sum() for result in run(arguments, fast_backend).values())
        return loss, list(leaves.values())

    expected = torch.autograd.grad(*asked())
    loss = asked()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = torch.autograd.grad(*loss)
    assert_close(dict(zip(leaves, actual)), dict(zip(leaves, expected)), 0)
