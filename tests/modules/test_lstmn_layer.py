"""A layer of span 1 is an LSTM, and where nobody asks for more torch's kernels compute it."""

import pytest
import torch

from fairseq_lstmn.modules import lstmn_layer
from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer
from fairseq_lstmn.ops import GrowingTape, Tape


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return LSTMNLayer(3, 4, memory_span=1).double()


def refuse(*args, **kwargs):
    raise AssertionError("the other way was to be taken")


def computed(layer, x, tape, **kwargs):
    """Outputs, the latest slot, and the gradients of all that may have one."""
    leaves = {"x": x.clone().requires_grad_(), **dict(layer.named_parameters())}
    if tape is not None:
        slots = {"hidden": tape.hidden.clone(), "memory": tape.memory.clone()}
        leaves.update({name: part.requires_grad_() for name, part in slots.items()})
        tape = Tape(leaves["hidden"], leaves["memory"])
    outputs, new, _ = layer(leaves["x"], tape, **kwargs)
    new = new.latest(1)
    results = {"outputs": outputs, "hidden": new.hidden, "memory": new.memory}
    loss = sum(
        (part * normal(*part.shape, seed=k)).sum() for k, part in enumerate(results.values())
    )
    trained = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    found = torch.autograd.grad(loss, list(trained.values()), materialize_grads=True)
    return results, dict(zip(trained, found))


@pytest.mark.parametrize("prefix", [None, 0, 1, 3])
def test_torchs_lstm_is_the_same_layer(layer, monkeypatch, prefix):
    x = normal(2, 5, 3)
    tape = None if prefix is None else Tape(normal(2, prefix, 4), normal(2, prefix, 4, seed=1))
    expected = computed(layer, x, tape)
    monkeypatch.setattr(lstmn_layer, "lstmn", refuse)
    actual = computed(layer, x, tape, whole_tape=False, lengths=torch.tensor([5, 5]))
    for ours, theirs in zip(actual, expected):
        assert ours.keys() == theirs.keys()
        for name, part in theirs.items():
            torch.testing.assert_close(ours[name], part, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"lengths": torch.tensor([5, 4])},
        {"tape": Tape(normal(2, 1, 4), normal(2, 1, 4), lengths=torch.tensor([1, 0]))},
        {"tape": GrowingTape()},
        {"return_attention": True},
        {"whole_tape": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_an_lstm_does_not_have_comes_from_the_recurrence(layer, monkeypatch, options):
    monkeypatch.setattr(torch, "lstm", refuse)
    outputs, *_ = layer(normal(2, 5, 3), **{"whole_tape": False, **options})
    assert outputs.isfinite().all()


@pytest.mark.parametrize("span", [0, 2])
def test_a_longer_tape_is_no_lstm(monkeypatch, span):
    monkeypatch.setattr(torch, "lstm", refuse)
    layer = LSTMNLayer(3, 4, memory_span=span)
    _, tape, _ = layer(torch.zeros(2, 5, 3), whole_tape=False)
    assert tape.hidden.size(1) == 5


def test_a_named_backend_is_the_one_that_runs(monkeypatch):
    monkeypatch.setattr(torch, "lstm", refuse)
    layer = LSTMNLayer(3, 4, memory_span=1, backend="recompute")
    layer(torch.zeros(2, 5, 3), whole_tape=False)


def test_half_precision_and_autocast_stay_with_the_recurrence(layer, monkeypatch):
    """Which computes them in float32."""
    monkeypatch.setattr(torch, "lstm", refuse)
    layer.bfloat16()(torch.zeros(2, 5, 3, dtype=torch.bfloat16), whole_tape=False)
    with torch.autocast("cpu"):
        layer.float()(torch.zeros(2, 5, 3), whole_tape=False)
