"""Options that several LSTMN models share: checked, and filled in by presets."""

import dataclasses

from fairseq.models import MODEL_DATACLASS_REGISTRY, register_model_architecture
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf, open_dict

from fairseq_lstmn.errors import InputError


def fill(cfg, values):
    """Give every option of ``cfg`` (a config or a Namespace) that is not set its value."""
    if OmegaConf.is_config(cfg):
        with open_dict(cfg):
            return _fill(cfg, values)
    return _fill(cfg, values)


def _fill(cfg, values):
    for name, value in values.items():
        if getattr(cfg, name, None) is None:
            setattr(cfg, name, value)


def register_preset(model, preset, **values):
    """Make ``preset`` an architecture of ``model``, for ``--arch`` and for hydra alike.

    The options it sets must be None by default in the model's dataclass: fairseq merges those
    defaults in before it asks an architecture, and only what is None counts as not set.
    """

    @register_model_architecture(model, preset)
    def architecture(cfg):
        fill(cfg, values)

    config = dataclasses.replace(MODEL_DATACLASS_REGISTRY[model](), **values)
    config._name = preset
    ConfigStore.instance().store(name=preset, group="model", node=config, provider="fairseq_lstmn")


def option(name):
    return "--" + name.replace("_", "-")


def check_at_least(cfg, least, *names):
    """Raise InputError for the first of the options ``names`` that is below ``least``."""
    for name in names:
        value = getattr(cfg, name)
        if value < least:
            raise InputError(f"{option(name)} {value}: must be {least} or above")


def check_probabilities(cfg, *names):
    """Raise InputError for the first of the options ``names`` outside of 0..1."""
    for name in names:
        value = getattr(cfg, name)
        if not 0 <= value <= 1:
            raise InputError(f"{option(name)} {value}: must lie in 0..1")
