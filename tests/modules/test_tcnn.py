"""T-CNN: every n-gram enumerated, padding, gradients, errors."""

import math
from itertools import combinations

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.tcnn import TCNN, TCNNLayer

LIMIT = 1e-12  # float64; measured at most 5e-16


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)


def enumerated(layer, x):
    """z (B, T, H) from one term an n-gram."""
    matrices = layer.factors.weight.chunk(layer.order)
    projected = [x @ matrix.T for matrix in matrices]  # P x, Q x, R x
    z = torch.zeros(*x.shape[:2], layer.output.out_features, dtype=x.dtype)
    for k in range(x.size(1)):
        total = 0
        for n in range(1, layer.order + 1):
            for ngram in combinations(range(k), n - 1):
                first, *_ = steps = *ngram, k
                factors = [factor[:, step] for factor, step in zip(projected, steps)]
                total += layer.decay ** (k - first - n + 1) * torch.stack(factors).prod(dim=0)
        z[:, k] = total @ layer.output.weight.T + layer.output.bias
    return z


def assert_close(actual, expected):
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= LIMIT * max(1, expected.abs().max())


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("decay", [0, 0.0, 0.3, 0.5, 0.99])
def test_a_layer_sums_all_ngrams(decay, order, steps):
    layer = TCNNLayer(3, 4, rank=5, decay=decay, order=order).double()
    x = torch.randn(2, steps, 3, dtype=torch.float64)
    assert_close(layer(x), enumerated(layer, x))


def test_layers_stand_on_the_rectified_layer_below():
    tcnn = TCNN(3, 4, layers=3, decay=0.4).double()
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    features = tcnn(x)
    assert features.size(-1) == tcnn.output_size == 12
    below = x
    for layer, actual in zip(tcnn.layers, features.chunk(3, dim=-1)):
        below = enumerated(layer, below).relu()
        assert_close(actual, below)


def test_gradients_are_the_derivatives():
    layer = TCNNLayer(2, 3, rank=2).double()
    lengths = torch.tensor([4, 2])
    names, parameters = zip(*layer.named_parameters())
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)

    def z(x, *values):
        return functional_call(layer, dict(zip(names, values)), (x, lengths))

    assert gradcheck(z, (x, *parameters))


def test_a_row_of_a_batch_is_the_row_alone():
    tcnn = TCNN(3, 4).double()
    lengths = torch.tensor([2, 7, 0, 5])
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    padding = torch.arange(7) >= lengths.unsqueeze(1)
    x = x.masked_fill(padding.unsqueeze(-1), math.nan).requires_grad_()
    features = tcnn(x, lengths)
    assert not features[padding].any()
    for row, length in enumerate(lengths.tolist()):
        if length:
            assert_close(features[row, :length], tcnn(x[row : row + 1, :length])[0])
    gradients = torch.autograd.grad(features.sum(), [x, *tcnn.parameters()])
    assert not gradients[0][padding].any()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_every_parameter_gets_a_gradient():
    tcnn = TCNN(3, 8)
    tcnn(torch.randn(4, 6, 3)).sum().backward()
    for name, parameter in tcnn.named_parameters():
        parts = parameter.grad.chunk(3) if name.endswith("factors.weight") else [parameter.grad]
        assert all(part.any() for part in parts), name


def test_weights_start_as_the_authors():
    layer = TCNNLayer(50, 40, rank=30)
    for weight, width in ((layer.factors.weight, 30), (layer.output.weight, 40)):
        bound = math.sqrt(3 / width)
        assert 0.95 * bound < weight.max() <= bound
        assert -bound <= weight.min() < -0.95 * bound
    assert (layer.output.bias == 0.01).all()


def test_dropout_is_between_layers():
    tcnn = TCNN(3, 4, layers=2, dropout=1.0)
    x = torch.randn(2, 5, 3)
    dropped, whole = tcnn(x), tcnn.eval()(x)
    assert torch.equal(dropped[..., :4], whole[..., :4])
    bias = tcnn.layers[1].output.bias.relu()  # all that is left of a layer that reads nothing
    assert torch.equal(dropped[..., 4:], bias.expand(2, 5, 4))
    assert not torch.equal(whole[..., 4:], dropped[..., 4:])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_discounts_long_gaps(dtype):
    layer = TCNNLayer(2, 3, rank=2, decay=0.9)
    x = torch.randn(1, 300, 2)
    expected = layer(x)
    actual = layer.to(dtype)(x.to(dtype)).float()
    # over 20 seeds at most 1.1e-3 and 9.4e-3: half precision rounds every product to 5e-4 and 4e-3
    assert (actual - expected).square().mean().sqrt() <= 2e-2 * expected.square().mean().sqrt()


@pytest.mark.parametrize("decay", [-0.1, 1, 1.0, 2.5, math.nan])
def test_a_decay_out_of_range_is_named(decay):
    with pytest.raises(InputError) as error:
        TCNN(3, 4, decay=decay)
    assert str(error.value) == f"--tcnn-decay {decay}: must be at least 0 and below 1"
