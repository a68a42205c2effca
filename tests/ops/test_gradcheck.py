"""Hand-written gradients are the derivatives: finite differences in float64."""

import pytest
from torch.autograd import gradcheck

from .cases import MAY_BE_RAGGED, apply, build, flat, run

EVERYTHING = {"prefix": 3, "source": 2, "ragged": MAY_BE_RAGGED, "distances": 1}


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
        EVERYTHING,
        {**EVERYTHING, "memory_span": 2},
        {**EVERYTHING, "fusion": "shallow"},
        {**EVERYTHING, "fusion": "token"},
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
