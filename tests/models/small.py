"""Small models without data, for tests in the same process."""

from types import SimpleNamespace

import torch
from fairseq import models
from fairseq.data import Dictionary, TruncatedDictionary
from fairseq.models import ARCH_MODEL_NAME_REGISTRY, MODEL_DATACLASS_REGISTRY
from omegaconf import OmegaConf

WORDS = dict(decoder_embed_dim=6, decoder_hidden_size=7, decoder_out_embed_dim=8)
SIZES = {  # of architectures that have no sizes of their own
    "lstmn_lm": WORDS,
    "lstmn": dict(WORDS, decoder_embed_dim=5, encoder_embed_dim=6, encoder_hidden_size=7),
    **dict.fromkeys(
        ("lstmn_classifier", "lstm_classifier", "tcnn_classifier", "lstmn_nli", "lstm_nli"),
        dict(encoder_embed_dim=5, encoder_hidden_size=12),
    ),
}
# what fairseq takes from the task and the criterion
RESOLVED = dict(criterion_name="cross_entropy", max_source_positions=50, max_target_positions=40)


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


def model(arch, task=None, **options):
    """The model of an architecture of ours under ``options``; a classifier with three classes."""
    config = MODEL_DATACLASS_REGISTRY[ARCH_MODEL_NAME_REGISTRY[arch]]
    resolved = {name: RESOLVED[name] for name in RESOLVED if hasattr(config, name)}
    built = build(config(**{**SIZES.get(arch, {}), **resolved, **options}), arch, task)
    if hasattr(built, "register_classification_head"):
        built.register_classification_head("head", num_classes=3)
    return built.eval()


def some_tokens(task, batch=3, steps=9):
    torch.manual_seed(1)
    return torch.randint(4, len(task.source_dictionary), (batch, steps))


def padded(task, steps, *lengths, left=False):
    """Tokens (B, steps), padded on one side, and their ``lengths`` (B,)."""
    tokens = some_tokens(task, len(lengths), steps)
    for row, length in enumerate(lengths):
        tokens[row, length:] = task.source_dictionary.pad()
        if left:
            tokens[row] = tokens[row].roll(steps - length)
    return tokens, torch.tensor(lengths)
