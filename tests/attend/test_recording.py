"""Recording attention leaves a model's outputs, and the model, as they were."""

import pytest
import torch

from fairseq_lstmn.attend.recording import recorded
from fairseq_lstmn.modules.fusion import build_fusion
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack


def stack(fusion="none", **options):
    torch.manual_seed(0)
    return LSTMNStack(
        3,
        5,
        layers=2,
        fusion=lambda k, width: build_fusion(k, width, 5, 5, fusion, "token", "add"),
        **options,
    )


def read(model, x):
    tapes = [torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(k)) for k in (1, 2)]
    sources = model.sources(tapes, tapes, torch.ones(2, 4, dtype=torch.bool))
    return model(x, lengths=torch.tensor([6, 4]), sources=sources)


@pytest.mark.parametrize("fusion", ["none", "shallow", "deep"])
def test_outputs_are_as_without(fusion):
    model, x = stack(fusion), torch.randn(2, 6, 3)
    outputs, _, attention = read(model, x)
    with recorded(model) as calls:
        again, _, recorded_too = read(model, x)
        read(model, x)
    assert torch.equal(outputs, again)
    assert (attention is None) == (recorded_too is None)
    if attention is not None:
        assert torch.equal(attention.source, recorded_too.source)
    for layer in model.layers:
        first, second = calls[layer]
        assert first.tape.shape == (2, 6, 6) and torch.equal(first.tape, second.tape)
        assert (first.source is None) == (layer.fusion is None)


def test_attention_that_was_asked_for_is_returned():
    model, x = stack(return_attention=True), torch.randn(2, 6, 3)
    with recorded(model) as calls:
        _, _, attention = read(model, x)
    assert attention is calls[model.layers[1]][0]


def test_layers_are_recorded_within_the_block_only():
    model, x = stack(), torch.randn(2, 6, 3)
    with pytest.raises(ZeroDivisionError), recorded(model) as calls:
        read(model, x)
        raise ZeroDivisionError
    read(model, x)
    assert [len(calls[layer]) for layer in model.layers] == [1, 1]
    assert not any("forward" in vars(layer) for layer in model.layers)
