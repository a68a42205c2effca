import pytest
import torch


@pytest.fixture(params=[True, False], ids=["gradients", "no gradients"])
def either_mode(request):
    """The test runs with gradients, where tapes are copied, and without, where they grow."""
    with torch.set_grad_enabled(request.param):
        yield
