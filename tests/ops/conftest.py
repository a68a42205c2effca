import os

import pytest
import torch

from .cases import BACKENDS, FAST_BACKENDS

# on a CUDA device cuBLAS wants this for deterministic algorithms, which the fixture below turns on
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Every backend that can run here, the reference among them."""
    return request.param


@pytest.fixture(params=FAST_BACKENDS)
def fast_backend(request):
    """Every backend that can run here and is held against the reference."""
    return request.param


@pytest.fixture(scope="module", autouse=True)
def nan_where_nothing_was_written():
    """torch.empty gives NaN: a buffer that is read before it is written shows itself."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)
    torch.utils.deterministic.fill_uninitialized_memory = filled
