"""Small language models without data, for tests in the same process."""

from types import SimpleNamespace

import torch
from fairseq import models
from fairseq.data import Dictionary
from omegaconf import OmegaConf

from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModelConfig


def small_task(words=20, **args):
    dictionary = Dictionary()
    for k in range(words):
        dictionary.add_symbol(f"w{k}")
    return SimpleNamespace(
        source_dictionary=dictionary,
        target_dictionary=dictionary,
        args=SimpleNamespace(max_target_positions=None, **args),
    )


def build(task=None, arch="lstmn_lm", **options):
    """The model that fairseq builds for ``arch`` with these options, in evaluation mode."""
    torch.manual_seed(0)
    sizes = dict(decoder_embed_dim=6, decoder_hidden_size=7, decoder_out_embed_dim=8)
    config = LSTMNLanguageModelConfig(**{**sizes, "criterion": "cross_entropy", **options})
    config._name = arch
    cfg = OmegaConf.structured(OmegaConf.create(vars(config)))
    return models.build_model(cfg, task or small_task()).eval()


def some_tokens(task, batch=3, steps=9):
    torch.manual_seed(1)
    return torch.randint(4, len(task.target_dictionary), (batch, steps))
