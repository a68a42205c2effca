"""The checkpoint from which a run goes on where the last one is damaged."""

import logging
import os
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from fairseq import checkpoint_utils

from fairseq_lstmn.checkpoints import State
from fairseq_lstmn.checkpoints.damage import DamagedCheckpoint
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.training import finite
from fairseq_lstmn.training.trainer import Trainer

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes

logger = logging.getLogger(__name__)


def load_or_go_back(
    load: Callable[Concatenate[Trainer, str, Rest], State | None],
    trainer: Trainer,
    filename: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> State | None:
    """fairseq's ``Trainer.load_checkpoint``, or the newest sound checkpoint beside ``filename``.

    Only the file from which a run goes on by itself is replaced, never one that was named; of
    several processes the one that reads it decides. Raises DamagedCheckpoint where there is no
    other, InputError for weights that are no numbers.
    """
    try:
        state = load(trainer, filename, *args, **kwargs)
    except DamagedCheckpoint as damage:
        filename = instead_of(filename, trainer, damage)
        state = load(trainer, filename, *args, **kwargs)
    finite.check_weights(trainer.model, filename)
    return state


def instead_of(filename: str, trainer: Trainer, damage: DamagedCheckpoint) -> str:
    """The newest sound checkpoint, announced; raises ``damage`` where there is none to take."""
    settings, suffix = trainer.cfg.checkpoint, trainer.checkpoint_suffix
    last = os.path.join(settings.save_dir, f"checkpoint_last{suffix}.pt")
    if filename != last or settings.restore_file != "checkpoint_last.pt":
        raise damage
    sound = newest_sound(settings.save_dir, suffix)
    if sound is None:
        raise DamagedCheckpoint(
            f"{damage}, and {settings.save_dir} holds no sound one; without the file training"
            " starts anew"
        ) from damage
    logger.warning("%s; training goes on from %s, the newest sound one", damage, sound)
    return sound


def newest_sound(folder: str, suffix: str = "") -> str | None:
    """The path of the checkpoint in ``folder`` with most updates; None if all are damaged."""
    updates: dict[str, int] = {}
    for path in checkpoint_utils.checkpoint_paths(folder, rf"checkpoint.*{suffix}\.pt"):
        try:
            state = checkpoint_utils.load_checkpoint_to_cpu(path)
        except InputError:
            continue  # damaged, or refused
        updates[path] = state["optimizer_history"][-1]["num_updates"]
    return max(updates, key=lambda path: updates[path], default=None)
