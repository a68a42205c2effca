"""The reference answers to the equations, computed row by row and slot by slot."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given

from fairseq_lstmn.ops import Weights

from . import by_hand
from .cases import MAY_BE_RAGGED, assert_close, build, gradients, run
from .strategies import arguments, repeatable

reference = partial(run, backend="reference")
# float64; measured at most 4e-15, results and gradients
LIMIT = 1e-12


@repeatable
@given(arguments=arguments)
def test_results_are_those_of_the_equations(arguments):
    assert_close(reference(arguments), by_hand.run(arguments), LIMIT)


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"prefix": 3},
        {"source": 3},
        {"prefix": 3, "source": 3, "memory_span": 2, "distances": 2},
        {"prefix": 3, "source": 3, "ragged": MAY_BE_RAGGED, "distances": 4},
    ],
    ids=["plain", "prefix", "source", "span", "ragged"],
)
def test_gradients_are_those_of_the_equations(sizes):
    arguments = build(**sizes)
    actual, expected = gradients(reference, arguments), gradients(by_hand.run, arguments)
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


def test_two_steps_worked_out():
    """One unit: h_1 behind open gates, and h_2, which can attend h_1 alone."""
    ones = torch.ones(1, 1)
    results = reference(
        {
            "query_inputs": torch.zeros(1, 2, 1),
            "gate_inputs": torch.tensor([[[20.0, 0.0, 1.0, 20.0], [0.0, 0.0, 0.0, 0.0]]]),
            "weights": Weights(ones, ones, ones[0], torch.tensor([[1.0], [2.0], [3.0], [4.0]])),
        }
    )
    cell = math.tanh(1)
    state = math.tanh(cell)
    assert results["outputs"][0, 0].item() == pytest.approx(state)
    # input, forget, candidate and output see 1, 2, 3 and 4 times h~_2 = h_1
    cell = sigmoid(2 * state) * cell + sigmoid(state) * math.tanh(3 * state)
    state = sigmoid(4 * state) * math.tanh(cell)
    assert results["tape.memory"][0, 1].item() == pytest.approx(cell)
    assert results["outputs"][0, 1].item() == pytest.approx(state)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))
