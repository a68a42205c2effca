"""The sentiment example: its YAML is the training of its README's flags."""

import pytest
from omegaconf import OmegaConf

from .example import (
    EXAMPLES,
    assert_same_training,
    flags_training,
    hydra_training,
    plain,
    readme_commands,
)

EXAMPLE = EXAMPLES / "sentiment"


@pytest.mark.parametrize("arch", ["lstmn_sst", "lstmn_sst_2layer"])
def test_yaml_gives_the_training_of_the_flags(arch):
    commands = [words for words in readme_commands(EXAMPLE) if "fairseq-train" in words]
    flags, measured = (
        flags_training([word.replace("$arch", arch) for word in words]) for words in commands
    )
    assert measured.model.encoder_hidden_size == 168
    yaml = hydra_training(EXAMPLE, arch, "data/sst")
    assert_same_training(yaml, flags)
    assert plain(yaml.optimizer) == plain(flags.optimizer)
    model = OmegaConf.load(EXAMPLE / "config" / f"{arch}.yaml").model
    assert model._name == arch
    assert model.first_epoch_scale == flags.model.first_epoch_scale == 0.35
