"""The reference answers to the paper's equations, written down for one row, slot by slot."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given

from fairseq_lstmn.ops import Weights

from .cases import assert_close, build, gradients, repeatable, run, whole_rows

reference = partial(run, backend="reference")
# float64; measured at most 4e-15, results and gradients
LIMIT = 1e-12


def by_hand(arguments):
    """Results of ``cases.run`` for one row without padding, on which nothing is batched or masked.

    Other rows and padding are the matter of ``test_padding``.
    """
    weights, source, bias = (arguments[name] for name in ("weights", "source", "distance_bias"))
    queries, gate_inputs = arguments["query_inputs"][0], arguments["gate_inputs"][0]
    zero = torch.zeros_like(queries[0])
    hidden, memory, keys, summary, source_summary = [], [], [], zero, zero
    if arguments["tape"] is not None:
        hidden, memory, keys = (list(part[0]) for part in arguments["tape"][:3])
        summary = arguments["tape"].summary[0]
        source_summary = zero if source is None else arguments["tape"].source_summary[0]
    prefix, steps = len(hidden), len(queries)
    attention = {"tape": torch.zeros(steps, prefix + steps, dtype=zero.dtype), "source": []}
    contexts, deep = [], source is not None and source.gate_inputs is not None
    for t in range(steps):
        now = prefix + t
        first = max(0, now - arguments["memory_span"]) if arguments["memory_span"] else 0
        query = queries[t] + weights.summary_query @ summary
        scores = [weights.score @ torch.tanh(keys[i] + query) for i in range(first, now)]  # (4)
        if bias is not None:
            scores = [a + bias[min(len(scores) - i, len(bias)) - 1] for i, a in enumerate(scores)]
        attended = softmax(scores)  # (5)
        attention["tape"][t, first:now] = torch.stack([*attended, zero[0]])[:-1]
        summary = sum((s * h for s, h in zip(attended, hidden[first:])), zero)  # (6)
        memory_summary = sum((s * c for s, c in zip(attended, memory[first:])), zero)
        gates = gate_inputs[t] + weights.summary_gates @ summary  # (7)
        fused = zero
        if source is not None:
            query, follows = source.query_inputs[0, t], source_summary if deep else summary
            if weights.source_query is not None:
                query = query + weights.source_query @ follows
            p = softmax([weights.source_score @ torch.tanh(key + query) for key in source.keys[0]])
            context = sum(weight * slot for weight, slot in zip(p, source.slots[0]))  # (12), (13)
            source_summary = context[: len(zero)]
            gate = weights.source_gate @ source_summary
            if deep:
                gate = torch.sigmoid(source.gate_inputs[0, t] + gate)  # (14)
                fused = gate * context[len(zero) :]
            else:
                gates = gates + gate
            attention["source"].append(torch.stack(p))
            contexts.append(source_summary)
        i, f, candidate, o = gates.split(len(zero))
        cell = f.sigmoid() * memory_summary + i.sigmoid() * candidate.tanh() + fused  # (8), (15)
        hidden.append(o.sigmoid() * cell.tanh())  # (9), (16)
        memory.append(cell)
        keys.append(weights.key @ hidden[-1])
    results = {
        "outputs": torch.stack(hidden[prefix:]),
        "tape.hidden": torch.stack(hidden),
        "tape.memory": torch.stack(memory),
        "tape.keys": torch.stack(keys),
        "tape.summary": summary,
        "attention.tape": attention["tape"],
    }
    if source is not None:
        results["tape.source_summary"] = source_summary
        results["attention.source"] = torch.stack(attention["source"])
        results["attention.context"] = torch.stack(contexts)
    return {name: result.unsqueeze(0) for name, result in results.items()}


def softmax(scores):
    total = sum(score.exp() for score in scores)
    return [score.exp() / total for score in scores]


@repeatable
@given(arguments=whole_rows)
def test_results_are_those_of_the_equations(arguments):
    assert_close(reference(arguments), by_hand(arguments), LIMIT)


@pytest.mark.parametrize("fusion", ["deep", "shallow", "token"])
def test_gradients_are_those_of_the_equations(fusion):
    sizes = dict(prefix=3, source=3, memory_span=3, distances=1)
    arguments = build(batch=1, fusion=fusion, **sizes)
    actual, expected = gradients(reference, arguments), gradients(by_hand, arguments)
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
