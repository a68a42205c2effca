"""A small checkpoint such as fairseq writes, without training one."""

import torch
from fairseq import checkpoint_utils

OPEN = f"{open.__module__}.open"  # as a pickle names it, since Python 3.12 _io.open


class CreatesFile:
    """Unpickled in full, it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def small_state():
    """The parts of a checkpoint that fairseq reads."""
    torch.manual_seed(0)
    return {
        "args": None,
        "cfg": {"model": {"_name": "lstm"}, "task": {"_name": "translation", "data": "data"}},
        "model": {"weight": torch.randn(20, 30), "bias": torch.randn(20)},
        "criterion": None,
        "optimizer_history": [
            {"optimizer_name": "FairseqAdam", "lr_scheduler_state": {"best": 1}, "num_updates": 7}
        ],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 2, "iterations_in_epoch": 3}},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.randn(20, 30)}}},
    }


def save(path, **changes):
    """Write a small checkpoint, some of its parts changed; returns the path as a string."""
    checkpoint_utils.torch_persistent_save({**small_state(), **changes}, str(path))
    return str(path)


def same(one, other):
    """Whether two checkpoints hold exactly the same."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other
