"""The LSTM reader: rows of any length, in any order."""

import math
import warnings

import pytest
import torch

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


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_is_between_layers(layers):
    x = torch.randn(2, 5, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader = LSTMReader(3, 4, layers, dropout=0.5)
    dropped = reader(x)
    assert dropped.all()
    assert torch.equal(dropped, reader.eval()(x)) == (layers == 1)
