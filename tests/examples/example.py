"""What the tests of every example need: its scripts, its README's commands and its YAML."""

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

from fairseq import options
from fairseq.data import Dictionary, data_utils
from fairseq.dataclass.initialize import add_defaults, hydra_init
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from tests.pages import CHECKOUT as ROOT
from tests.pages import blocks

try:
    from hydra import compose, initialize_config_dir
except ImportError:  # hydra 1.0
    from hydra.experimental import compose, initialize_config_dir

EXAMPLES = ROOT / "examples"


def load_script(path):
    """Return a script as a module; as when it runs, it finds the modules beside it."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def run_script(path, *arguments):
    return subprocess.run(
        [sys.executable, path, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def decoded(text, dictionary):
    """Return the lines of a binary ``text`` (its path without .bin), read as fairseq reads it."""
    dictionary = Dictionary.load(str(dictionary))
    sentences = data_utils.load_indexed_dataset(str(text), dictionary)
    assert all(sentence[-1] == dictionary.eos() for sentence in sentences)
    return [dictionary.string(sentence) for sentence in sentences]


def readme_commands(example):
    """Return the shell commands of an example's README, each as a list of words."""
    shown = blocks(example / "README.md", "bash")
    lines = "".join(shown).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def flags_training(words):
    """Return the configuration of the fairseq-train command ``words``."""
    words = list(words)
    words[words.index("--user-dir") + 1] = str(ROOT / "fairseq_lstmn")
    args = options.parse_args_and_arch(options.get_training_parser(), words[1:])
    return convert_namespace_to_omegaconf(args)


def hydra_training(example, name, data):
    """Return the configuration that fairseq-hydra-train composes from config/NAME.yaml."""
    hydra_init(name)
    with initialize_config_dir(str(example / "config")):
        cfg = compose(name, overrides=[f"task.data={data}"])
    add_defaults(cfg)
    return cfg


def plain(section):
    return OmegaConf.to_container(section, resolve=True)


def assert_same_training(yaml, flags):
    """All but the model, and the optimizer, which flags may leave as a Namespace, is equal."""
    for name in ("task", "dataset", "criterion", "optimization", "lr_scheduler", "checkpoint"):
        assert plain(yaml[name]) == plain(flags[name])
    by_flags, by_yaml = plain(flags.common), plain(yaml.common)
    folders = by_flags.pop("user_dir"), by_yaml.pop("user_dir")
    assert len({Path(folder).name for folder in folders}) == 1
    assert by_yaml == by_flags
