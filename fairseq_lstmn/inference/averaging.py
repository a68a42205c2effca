"""The mean of several checkpoints' weights, as in fairseq's scripts/average_checkpoints.py.

That script is no part of an installed fairseq, and does not load what a reader's checkpoint holds.
"""

from collections.abc import Sequence
from typing import TypeGuard

import torch
from fairseq import checkpoint_utils
from omegaconf import OmegaConf
from torch import Tensor

from fairseq_lstmn.data import dictionaries
from fairseq_lstmn.data.dictionaries import State
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.language_decoder import CarriedTapes

# parts of the extra state that belong to the weights of a single checkpoint
OF_ONE = "ema", "ema_fp32_params", CarriedTapes.SAVED_AS


def latest(folder: str, number: int, pattern: str) -> list[str]:
    """The ``number`` checkpoints in ``folder`` that ``pattern`` numbers highest, highest first.

    ``pattern`` is a regular expression of whole names, whose first group is the number. Raises
    InputError for a folder with fewer.
    """
    try:
        paths: list[str] = checkpoint_utils.checkpoint_paths(folder, pattern)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    if len(paths) < number:
        raise InputError(f"{folder}: has {len(paths)} such checkpoints, not {number}")
    return paths[:number]


def average(paths: Sequence[str]) -> State:
    """A checkpoint with the mean of the weights of those at ``paths``; all else is the first one's.

    Weights are floating-point tensors. The optimizer's state, moving averages and carried tapes are
    left out. Raises InputError for a file that is no checkpoint, and for one whose weights or words
    are others than the first one's.
    """
    state = load(paths[0])
    totals = {name: weight.double() for name, weight in weights(state).items()}
    for path in paths[1:]:
        other = load(path)
        check_same(state, other, f"{path}, {paths[0]}")
        for name, weight in weights(other).items():
            totals[name] = totals[name] + weight
    for name, weight in weights(state).items():
        weight.copy_(totals[name] / len(paths))  # in place: weights that share memory still do
    return state


def load(path: str) -> State:
    """A checkpoint without what belongs to one training alone."""
    state: State = checkpoint_utils.load_checkpoint_to_cpu(path)
    if "model" not in state:
        raise InputError(f"{path}: holds no model")
    if OmegaConf.is_config(state.get("cfg")):
        state["cfg"] = OmegaConf.to_container(state["cfg"])  # as fairseq saves it
    state.pop("last_optimizer_state", None)
    extra = state["extra_state"]
    state["extra_state"] = {name: extra[name] for name in extra if name not in OF_ONE}
    return state


def weights(state: State) -> dict[str, Tensor]:
    """What a training changes of a checkpoint's model, by name."""
    return {name: value for name, value in state["model"].items() if is_weight(value)}


def is_weight(value: object) -> TypeGuard[Tensor]:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def check_same(one: State, other: State, where: str) -> None:
    """Raise InputError, beginning with ``where``, for checkpoints of different models."""
    shapes, others = (
        {name: tuple(weight.shape) for name, weight in weights(state).items()}
        for state in (one, other)
    )
    for name in [*shapes, *others]:
        if shapes.get(name) != others.get(name):
            raise InputError(f"{where}: not of the same model, {name} differs")
    words, other_words = dictionaries.recorded(one), dictionaries.recorded(other)
    if words and other_words and words != other_words:
        raise InputError(f"{where}: their dictionaries have other words")
