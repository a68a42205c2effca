"""Small models without data, for tests in the same process."""

from types import SimpleNamespace

import torch
from fairseq import models
from fairseq.data import Dictionary, TruncatedDictionary
from omegaconf import OmegaConf


def small_task(words=20, outputs=None, **args):
    """A task with one dictionary for both sides, the target's cut off behind ``outputs``."""
    dictionary = Dictionary()
    for k in range(words):
        dictionary.add_symbol(f"w{k}")
    return SimpleNamespace(
        source_dictionary=dictionary,
        target_dictionary=dictionary
        if outputs is None
        else TruncatedDictionary(dictionary, outputs),
        args=SimpleNamespace(max_target_positions=None, **args),
    )


def build(config, arch, task=None):
    """The model that fairseq builds from a dataclass ``config``, in evaluation mode."""
    torch.manual_seed(0)
    config._name = arch
    cfg = OmegaConf.structured(OmegaConf.create(vars(config)))
    return models.build_model(cfg, task or small_task()).eval()


def some_tokens(task, batch=3, steps=9):
    torch.manual_seed(1)
    return torch.randint(4, len(task.source_dictionary), (batch, steps))
