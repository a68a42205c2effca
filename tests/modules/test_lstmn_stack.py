"""Layers of LSTMN on each other."""

import pytest
import torch

from fairseq_lstmn.modules.lstmn_stack import LSTMNStack


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_is_between_layers(layers):
    stack = LSTMNStack(3, 4, layers, dropout=0.5)
    x = torch.randn(2, 5, 3)
    dropped = stack(x)[0]
    assert dropped.all()
    assert torch.equal(dropped, stack.eval()(x)[0]) == (layers == 1)


def test_skip_connections_bring_the_input_undropped():
    stack = LSTMNStack(3, 4, layers=2, dropout=1.0, skip_connections=True)
    x = torch.randn(2, 5, 3)
    nothing_below = torch.cat([torch.zeros(2, 5, 4), x], dim=2)
    assert torch.equal(stack(x)[0], stack.layers[1](nothing_below)[0])


def test_residuals_pass_by_dropout():
    stack = LSTMNStack(3, 4, layers=2, dropout=1.0, residuals=True)
    x = torch.randn(2, 5, 3)
    below, of_nothing = stack.layers[0](x)[0], stack.layers[1](torch.zeros(2, 5, 4))[0]
    assert torch.equal(stack(x)[0], of_nothing + below)


def test_span_1_trains_what_an_lstm_has():
    stack = LSTMNStack(3, 4, layers=2, memory_span=1, distance_bias=2)
    trained = sum(part.numel() for part in stack.parameters() if part.requires_grad)
    lstm = torch.nn.LSTM(3, 4, num_layers=2)
    bias_twice = 2 * 4 * 4  # torch's LSTM adds two biases in every layer
    assert trained == sum(part.numel() for part in lstm.parameters()) - bias_twice
    stack(torch.randn(2, 5, 3))[0].sum().backward()
    assert all((part.grad is not None) == part.requires_grad for part in stack.parameters())


def test_layers_below_those_with_a_tape_are_lstms():
    torch.manual_seed(0)
    stack = LSTMNStack(3, 4, layers=3, tape_layers=1, distance_bias=2)
    assert [layer.memory_span for layer in stack.layers] == [1, 1, 0]
    assert [layer.distance_bias is None for layer in stack.layers] == [True, True, False]
    assert not stack.layers[0].key.requires_grad
