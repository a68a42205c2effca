"""Fast backends keep B T H + B T^2, not the B T^2 H of plain autograd.

T steps over P = T prefix slots and S = T source tokens: 2 T slots a step at most.
"""

from functools import cache

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import GrowingTape, lstmn
from fairseq_lstmn.ops.passes import inputs as passes_inputs
from fairseq_lstmn.ops.passes.inputs import Inputs, memory_for_attention
from fairseq_lstmn.ops.prepare import fill_in

from .cases import build, flat, run

BATCH = 2


class Allocations(TorchDispatchMode):
    """Follows what is allocated inside, in bytes: the largest storage, what is alive at once."""

    def __init__(self, known):
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.storages = {}
        self.largest = self.peak = self.at_most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.see(tensor.untyped_storage())
        if self.at_most > self.peak:  # counting is slow, and needless below the peak
            self.peak = max(self.peak, self.alive())
        return result

    def see(self, storage):
        if storage._cdata not in self.known:
            self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
            self.at_most += storage.nbytes()
            self.largest = max(self.largest, storage.nbytes())

    def alive(self):
        """Bytes in storages that something still holds."""
        self.storages = {
            key: (storage, size)
            for key, (storage, size) in self.storages.items()
            if not storage.expired()
        }
        self.at_most = sum(size for _, size in self.storages.values())
        return self.at_most


class Usage:
    """Numbers (float64) that a forward and backward pass holds beyond its arguments."""

    def __init__(self, backend, steps, width):
        sizes = {"steps": steps, "prefix": steps, "source": steps, "width": width}
        arguments = build(batch=BATCH, **sizes)
        leaves = [tensor.requires_grad_() for tensor in flat(arguments).values()]
        with Allocations(leaves) as allocations:
            results = run(arguments, backend)
            self.kept = allocations.alive() / 8  # results, and what the backward pass needs
            torch.autograd.grad(sum(result.sum() for result in results.values()), leaves)
        self.peak = allocations.peak / 8
        self.largest = allocations.largest / 8
        self.linear = BATCH * (steps * width + steps * steps)


@cache
def usage(backend, size):
    return Usage(backend, steps=size, width=size)


def test_no_tensor_has_a_vector_for_every_pair_of_steps(fast_backend):
    # measured: 2.0, the gates (B, T, 4H); a (B, T, T, H) would be 24
    used = usage(fast_backend, 48)
    assert used.largest <= 3 * used.linear


def test_what_is_kept_for_the_backward_pass(fast_backend):
    # measured: 14.1; plain autograd keeps 145
    used = usage(fast_backend, 48)
    assert used.kept <= 20 * used.linear


def test_the_peak_of_both_passes(fast_backend):
    # measured: 27.6; plain autograd's is 156
    used = usage(fast_backend, 48)
    assert used.peak <= 40 * used.linear


def test_memory_grows_fourfold_when_steps_and_width_double(fast_backend):
    # B T^2 H would grow eightfold
    small, large = usage(fast_backend, 24), usage(fast_backend, 48)
    assert large.kept <= 4.4 * small.kept
    assert large.peak <= 4.4 * small.peak


@pytest.mark.parametrize("ragged", [(), ("steps", "prefix", "source")], ids=["whole", "ragged"])
@pytest.mark.parametrize("fusion", ["deep", "shallow"])
@pytest.mark.parametrize("growing", [False, True], ids=["Tape", "GrowingTape"])
def test_without_gradients_nothing_grows_with_the_square(fast_backend, ragged, fusion, growing):
    """A line of 100,000 tokens has to fit: weights that nobody asked for are not kept."""
    steps, width = 256, 4
    sizes = {"steps": steps, "prefix": steps, "source": steps, "width": width}
    arguments = build(batch=BATCH, fusion=fusion, ragged=ragged, **sizes)
    if growing:
        arguments["tape"] = GrowingTape(arguments["tape"])
    with torch.no_grad(), Allocations(()) as allocations:
        lstmn(**arguments, backend=fast_backend)
    # measured: 4, the gates (B, T, 4H), and as many in a grown cache; a (B, T, T) has 64
    assert allocations.largest / 8 <= 16 * BATCH * steps * width


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "trained"])
def test_a_row_beyond_memory_is_named(fast_backend, asked, monkeypatch):
    monkeypatch.setattr(passes_inputs, "cpu_memory", lambda: BATCH * 30 * 40 * 8 - 1)
    arguments = build(batch=BATCH, steps=30, prefix=10)
    for tensor in flat(arguments).values():
        tensor.requires_grad_(not asked)
    with torch.set_grad_enabled(not asked), pytest.raises(InputError) as error:
        lstmn(**arguments, return_attention=asked, backend=fast_backend)
    line = "too little memory for 2 x 30 tokens: their attention to 40 slots"
    assert str(error.value).startswith(line) and "\n" not in str(error.value)
    with torch.no_grad():  # and what was not asked for does not have to fit
        lstmn(**arguments, backend=fast_backend)
    monkeypatch.setattr(passes_inputs, "cpu_memory", lambda: BATCH * 30 * 40 * 8)
    lstmn(**arguments, return_attention=asked, backend=fast_backend)


def test_an_allocation_that_fails_is_named():
    arguments = build(batch=1, steps=5)
    arguments.pop("lengths")
    inputs = fill_in(Inputs(**arguments))
    with pytest.raises(InputError, match="for 1 x 5 tokens"), memory_for_attention(inputs):
        torch.zeros(10**15)


def test_plain_autograd_is_seen_to_keep_the_square():
    """The measure can fail: the reference does what the fast backends must not."""
    small, large = usage("reference", 12), usage("reference", 24)
    assert large.kept > 20 * large.linear and large.peak > 40 * large.linear
    assert large.kept > 6 * small.kept and large.peak > 6 * small.peak
