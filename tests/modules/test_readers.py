"""Readers of whole sentences: rows of any length, in any order; dropout; what is trained."""

import math
import warnings

import pytest
import torch

from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from fairseq_lstmn.modules.padding import mean_over_tokens
from fairseq_lstmn.modules.readers import LSTMReader

LIMIT = 1e-12  # float64


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_row_of_a_batch_is_the_row_alone(layers):
    reader = LSTMReader(3, 4, layers).double()
    lengths = torch.tensor([2, 5, 1, 4])
    padding = torch.arange(6) >= lengths.unsqueeze(1)  # one step more than the longest row
    x = torch.randn(4, 6, 3, dtype=torch.float64).masked_fill(padding.unsqueeze(-1), math.nan)
    outputs = reader(x, lengths)
    assert outputs.shape == (4, 6, reader.output_size) and reader.output_size == 4
    assert not outputs[padding].any()
    for row, length in enumerate(lengths.tolist()):
        alone = reader(x[row : row + 1, :length])[0]
        assert (outputs[row, :length] - alone).abs().max() <= LIMIT


def test_one_layer_is_an_lstm_cell_over_the_steps():
    reader = LSTMReader(3, 4).double()
    cell = torch.nn.LSTMCell(3, 4).double()
    cell.load_state_dict({name[:-3]: value for name, value in reader.lstm.state_dict().items()})
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    state, expected = None, []
    for step in x.unbind(1):
        state = cell(step, state)
        expected.append(state[0])
    assert (reader(x) - torch.stack(expected, dim=1)).abs().max() <= LIMIT


def test_weights_start_as_fairseqs_and_all_get_a_gradient():
    reader = LSTMReader(20, 30, layers=2)
    reader(torch.randn(2, 5, 20), torch.tensor([3, 5])).sum().backward()
    for name, parameter in reader.named_parameters():
        assert 0.08 < parameter.abs().max() <= 0.1, name
        assert parameter.grad.any(), name


def lstm_reader(layers):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return LSTMReader(3, 4, layers, dropout=0.5)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    "build", [lstm_reader, lambda layers: LSTMNStack(3, 4, layers, dropout=0.5)]
)
def test_dropout_is_between_layers(build, layers):
    reader, x = build(layers), torch.randn(2, 5, 3)
    dropped, whole = (
        outputs[0] if isinstance(outputs, tuple) else outputs
        for outputs in (reader(x), reader.eval()(x))
    )
    assert dropped.all()
    assert torch.equal(dropped, whole) == (layers == 1)


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
    stack = LSTMNStack(3, 4, layers=3, tape_layers=1, distance_bias=2)
    assert [layer.memory_span for layer in stack.layers] == [1, 1, 0]
    assert [layer.distance_bias is None for layer in stack.layers] == [True, True, False]
    assert not stack.layers[0].key.requires_grad


def test_the_mean_is_over_real_tokens():
    lengths = torch.tensor([2, 5, 0, 1])
    padding = torch.arange(5) >= lengths.unsqueeze(1)
    states = torch.randn(4, 5, 3).masked_fill(padding.unsqueeze(-1), math.nan).requires_grad_()
    means = mean_over_tokens(states, lengths)
    for row in (0, 1, 3):
        assert torch.allclose(means[row], states[row, : lengths[row]].mean(dim=0))
    assert not means[2].any()
    means.sum().backward()
    expected = (1 / lengths.clamp(min=1)).unsqueeze(1).where(~padding, 0.0).unsqueeze(-1)
    assert torch.equal(states.grad, expected.expand_as(states))


def test_half_precision_stays():
    states = torch.randn(2, 5, 3).half()
    assert mean_over_tokens(states, torch.tensor([3, 5])).dtype == torch.float16
