"""What incremental decoding keeps between its calls."""

import pytest
import torch

from fairseq_lstmn.modules.decoder import STATE
from fairseq_lstmn.ops import GrowingTape
from tests.models.small import small_task, some_tokens

from .test_lstmn_lm import build


def decode(model, tokens, steps, state):
    scores = [model.decoder(tokens[:, : t + 1], incremental_state=state)[0] for t in steps]
    return torch.stack([score[:, -1] for score in scores], dim=1)


def tapes(model, state):
    return model.decoder.get_incremental_state(state, STATE).tapes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_same_tapes_grow(mode):
    task = small_task()
    model, tokens, state = build(task, decoder_layers=2, memory_span=3), some_tokens(task), {}
    whole, _ = model(tokens)
    with mode():
        scores = decode(model, tokens, range(4), state)
        before = tapes(model, state)
        model.decoder.reorder_incremental_state_scripting(state, torch.tensor([0, 1, 2]))
        scores = torch.cat([scores, decode(model, tokens, range(4, 9), state)], dim=1)
    assert torch.allclose(scores, whole, atol=1e-5)
    for old, new in zip(before, tapes(model, state)):
        assert type(old) is GrowingTape and new is old
        assert new.tape().hidden.size(1) == 3


def test_gradients_flow_through_steps():
    task = small_task()
    model, tokens, state = build(task), some_tokens(task), {}
    decode(model, tokens, range(9), state)[:, -1].sum().backward()
    assert type(tapes(model, state)[0]) is GrowingTape
    found = model.decoder.embed_tokens.weight.grad.clone()
    model.zero_grad()
    model(tokens)[0][:, -1].sum().backward()
    torch.testing.assert_close(found, model.decoder.embed_tokens.weight.grad)
