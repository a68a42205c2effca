"""How often a device is waited for to read the lengths of a ragged batch: once, in all layers."""

import pytest
import torch

from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from tests.models import small
from tests.models.small import padded, small_task

LENGTHS = [5, 2, 4]
FETCHES = {
    torch.Tensor.cpu: "cpu",
    torch.Tensor.tolist: "tolist",
    torch.Tensor.item: "item",
    torch.Tensor.__bool__: "bool",
}


class FarTensor(torch.Tensor):
    """As on a device: what is computed of it is there too, and numbers are asked for."""

    fetched = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        if func in FETCHES:
            cls.fetched.append(FETCHES[func])
            return result.as_subclass(torch.Tensor) if func is torch.Tensor.cpu else result
        return result


@pytest.fixture
def fetched(monkeypatch):
    monkeypatch.setattr(FarTensor, "fetched", [])
    return FarTensor.fetched


def test_of_a_stack(fetched):
    stack = LSTMNStack(3, 4, layers=3)
    expected = stack(torch.ones(3, 5, 3), lengths=torch.tensor(LENGTHS))[0]
    outputs, _, _ = stack(torch.ones(3, 5, 3), lengths=torch.tensor(LENGTHS).as_subclass(FarTensor))
    assert FarTensor.fetched == ["cpu"]
    assert torch.equal(outputs, expected)


@pytest.mark.parametrize("left", [True, False])
def test_of_an_encoder(fetched, left):
    layers = dict(encoder_layers=2, decoder_layers=2, encoder_bidirectional=True)
    encoder = small.model("lstmn", **layers).encoder
    tokens, _ = padded(small_task(), 5, *LENGTHS, left=left)
    expected = encoder(tokens)
    encoded = encoder(tokens.as_subclass(FarTensor))
    assert FarTensor.fetched == ["cpu"]
    for name in ("hidden", "memory", "last_hidden", "last_memory", "encoder_padding_mask"):
        assert all(map(torch.equal, encoded[name], expected[name]))
