"""Layers inside compiled and exported models, and the rules that torch has for operators."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.library import opcheck

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer
from fairseq_lstmn.ops.passes import operators
from fairseq_lstmn.ops.passes.inputs import Inputs
from fairseq_lstmn.ops.prepare import fill_in

from .cases import FAST_BACKENDS, apply, build

PACKAGE_PARENT = Path(operators.__file__).parents[2]
LIBRARY = torch.ops.fairseq_lstmn
COMPILED = ["auto", "recompute"]
CASES = [
    {},
    {"prefix": 2, "distances": 1, "memory_span": 2},
    {"prefix": 2, "source": 3, "ragged": ("prefix", "source")},
    {"source": 3, "fusion": "shallow", "prefix": 2},
    {"source": 3, "fusion": "token"},
    {"batch": 1, "steps": 1, "prefix": 3},
]


def arguments_of_layer(backend, time_major=False, rows=None, **sizes):
    """What the operator ``layer`` takes, all floating tensors in want of a gradient."""
    arguments = build(**sizes)
    arguments.pop("lengths")
    if time_major:
        for name in ("query_inputs", "gate_inputs"):
            arguments[name] = arguments[name].transpose(0, 1).contiguous().transpose(0, 1)
    inputs = apply(torch.Tensor.requires_grad_, fill_in(Inputs(**arguments)))
    return backend, *inputs.tensors(), inputs.memory_span, rows


@pytest.mark.parametrize("sizes", CASES, ids=str)
@pytest.mark.parametrize("time_major", [False, True])
def test_a_layer_keeps_the_rules(fast_backend, sizes, time_major):
    """Schema, derivative, shapes and strides that are known beforehand; traced with gradients."""
    opcheck(LIBRARY.layer.default, arguments_of_layer(fast_backend, time_major, **sizes))


def test_a_ragged_layer_keeps_the_rules(fast_backend):
    arguments = arguments_of_layer(fast_backend, rows=[3, 3, 2, 1, 1])
    # not traced: what it leaves at padded steps of its own queries and gates is any number
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    opcheck(LIBRARY.layer.default, arguments, test_utils=tests)


def test_the_operator_itself_has_no_second_derivative(fast_backend):
    arguments = arguments_of_layer(fast_backend)
    slots, *_ = LIBRARY.layer(*arguments)
    (found,) = torch.autograd.grad(slots.sum(), arguments[1], create_graph=True)
    with pytest.raises(InputError, match="backend='reference'"):
        found.sum().backward()


@pytest.mark.parametrize("source", [0, 2])
def test_tensors_in_a_row_are_inputs_again(source):
    arguments = build(prefix=2, source=source, distances=1, memory_span=3)
    arguments.pop("lengths")
    inputs = fill_in(Inputs(**arguments))
    # the same tensors: == of others would raise
    assert Inputs.of(inputs.tensors(), inputs.memory_span, inputs.rows) == inputs


class Model(nn.Module):
    """A small language model: words (B, T) to scores (B, T, 11), and its tape."""

    def __init__(self, backend):
        super().__init__()
        torch.manual_seed(1)
        self.embedding = nn.Embedding(11, 6)
        self.layer = LSTMNLayer(6, 8, distance_bias=2, backend=backend)
        self.output = nn.Linear(8, 11)

    def forward(self, words, tape=None, lengths=None):
        states, tape, _ = self.layer(self.embedding(words), tape, lengths)
        return self.output(states), tape


class Scores(Model):
    """``Model`` without its tape."""

    def forward(self, words):
        return super().forward(words)[0]


@pytest.fixture
def words():
    return torch.randint(0, 11, (3, 6), generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def nothing_compiled():
    """What one test has compiled is not the next one's."""
    torch.compiler.reset()


def losses(model, run, words, lengths=None):
    """Of five steps of training ``model`` by what ``run`` computes."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = []
    for _ in range(5):
        scores, _ = run(words[:, :-1], lengths=lengths)
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), words[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("backend", FAST_BACKENDS)
@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 2, 4])], ids=["whole", "ragged"])
def test_a_compiled_model_trains_as_the_eager_one(backend, words, lengths):
    """In one graph where no lengths have to be read."""
    eager, compiled = Model(backend), Model(backend)
    run = torch.compile(compiled, fullgraph=lengths is None, backend="aot_eager")
    expected = losses(eager, eager, words, lengths)
    assert losses(compiled, run, words, lengths) == pytest.approx(expected, rel=1e-6)
    assert expected[-1] < expected[0]


def test_a_model_trains_with_the_default_compiler(words):
    eager, compiled = Model("auto"), Model("auto")
    run = torch.compile(compiled, fullgraph=True)
    expected = losses(eager, eager, words)
    assert losses(compiled, run, words) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("backend", COMPILED)
def test_a_compiled_model_decodes_as_the_eager_one(backend, words):
    model = Model(backend)
    run = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    tape = compiled_tape = None
    with torch.no_grad():
        for word in words[:, :4].split(1, dim=1):
            expected, tape = model(word, tape)
            found, compiled_tape = run(word, compiled_tape)
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_model(backend, words, strict):
    """The layer is one operator in it."""
    model = Model(backend)
    exported = torch.export.export(model, (words,), strict=strict)
    torch.testing.assert_close(exported.module()(words)[0], model(words)[0])
    assert str(exported).count("fairseq_lstmn.layer") == 1


def test_an_exported_model_is_run_by_another_process(tmp_path, words):
    model = Scores("auto")  # torch saves no program that returns a named tuple it does not know
    torch.export.save(torch.export.export(model, (words,)), tmp_path / "model.pt2")
    torch.save((words, model(words).detach()), tmp_path / "expected.pt")
    program = f"""
import torch
import fairseq_lstmn.ops
words, expected = torch.load({str(tmp_path / "expected.pt")!r})
model = torch.export.load({str(tmp_path / "model.pt2")!r}).module()
torch.testing.assert_close(model(words), expected)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE_PARENT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
