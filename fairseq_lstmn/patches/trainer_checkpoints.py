"""``fairseq.trainer``: from which checkpoint a training goes on, and with what."""

import logging
import os
import re
from typing import Any

from fairseq import checkpoint_utils
from fairseq.trainer import Trainer

from fairseq_lstmn.data import dictionaries
from fairseq_lstmn.data.dictionaries import State
from fairseq_lstmn.errors import InputError, causes
from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.patches.checkpoint_loading import DamagedCheckpoint, misfit
from fairseq_lstmn.patches.models import architecture
from fairseq_lstmn.patches.non_finite import check_weights
from fairseq_lstmn.patches.registry import Original, patch

logger = logging.getLogger(__name__)

KEYS = re.compile(r'(Missing|Unexpected) key\(s\) in state_dict: "(\S+?)"')  # as torch says it


@patch(Trainer, "save_checkpoint")
def save_with_tapes(
    save_checkpoint: Original, trainer: Trainer, filename: str, extra_state: State
) -> Any:
    """Save the tapes that a language model carries from batch to batch.

    They stand beside the training state, not in the model's, so that other programs load the model
    as before, older checkpoints are loaded with empty tapes, and an evaluation starts with none.
    ``checkpoint_saving.gather_tapes`` has gathered those of all processes; a process in trouble
    saves alone, without.
    """
    tapes = getattr(trainer, "gathered_tapes", None)
    if tapes is not None:
        extra_state = {**extra_state, CarriedTapes.SAVED_AS: tapes}
    return save_checkpoint(trainer, filename, extra_state)


@patch(Trainer, "load_checkpoint")
def load_with_tapes(
    load_checkpoint: Original, trainer: Trainer, filename: str, *args: Any, **kwargs: Any
) -> State | None:
    """A run that is resumed in the middle of an epoch goes on reading with the tapes it had.

    Tapes of another number of processes, whose texts are divided otherwise, are left with a
    warning.
    """
    extra_state: State | None = load_checkpoint(trainer, filename, *args, **kwargs)
    carried = CarriedTapes.of(trainer.get_model())
    states = (extra_state or {}).get(CarriedTapes.SAVED_AS)
    if carried is None or states is None:
        return extra_state
    if isinstance(states, tuple):  # version 0.2.0 kept those of a single process alone
        states = [states]
    processes = trainer.data_parallel_world_size
    if len(states) != processes:
        logger.warning(
            "%s: carried tapes of %d processes, this training has %d; they start empty",
            filename,
            len(states),
            processes,
        )
    elif states[trainer.data_parallel_rank] is not None:
        carried.restore(states[trainer.data_parallel_rank], trainer.device)
    return extra_state


@patch(Trainer, "load_checkpoint")
def load_or_go_back(
    load: Original, trainer: Trainer, filename: str, *args: Any, **kwargs: Any
) -> State | None:
    """A run whose ``checkpoint_last.pt`` is damaged goes on from the newest sound checkpoint.

    Only the file from which a run goes on by itself is replaced, never one that was named; of
    several processes the one that reads it decides. Raises DamagedCheckpoint where there is no
    other, InputError for weights that are non-finite.
    """
    try:
        state: State | None = load(trainer, filename, *args, **kwargs)
    except DamagedCheckpoint as damage:
        filename = instead_of(filename, trainer, damage)
        state = load(trainer, filename, *args, **kwargs)
    check_weights(trainer.model, filename)
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


def newest_sound(folder: str, suffix: str) -> str | None:
    """The path of the checkpoint in ``folder`` with most updates; None if all are damaged."""
    updates: dict[str, int] = {}
    for path in checkpoint_utils.checkpoint_paths(folder, rf"checkpoint.*{suffix}\.pt"):
        try:
            state = checkpoint_utils.load_checkpoint_to_cpu(path)
        except InputError:
            continue  # damaged, or refused
        updates[path] = state["optimizer_history"][-1]["num_updates"]
    return max(updates, key=lambda path: updates[path], default=None)


@patch(Trainer, "load_checkpoint")
def load_what_fits(
    load: Original, trainer: Trainer, filename: str, *args: Any, **kwargs: Any
) -> State | None:
    """Raise InputError, in one line, for a checkpoint of another model, criterion or optimizer."""
    try:
        state: State | None = load(trainer, filename, *args, **kwargs)
        return state
    except InputError:
        raise
    except Exception as error:  # fairseq raises a plain one
        reason = other_model(error, architecture(trainer.cfg.model)) or other_training(error)
        if reason is None:
            raise
        raise InputError(f"{filename}: {reason}") from error


def other_model(error: Exception, arch: str) -> str | None:
    """How a checkpoint's model is not that of ``arch``; None where ``error`` is of another kind."""
    for cause in causes(error):
        if sizes := misfit(cause):
            weight, held, needed = sizes
            return (
                f"{weight} is ({held}), but with the options and dictionaries of this training it"
                f" is ({needed})"
            )
        if keys := KEYS.search(str(cause)):
            verb = "lacks" if keys[1] == "Missing" else "has"
            return f"is of another model than --arch {arch} with these options, {verb} {keys[2]}"
    return None


def other_training(error: Exception) -> str | None:
    """How criterion or optimizer are not those of a checkpoint; None for other errors.

    fairseq asserts that both are the same, torch that the optimizer's parameters are as many.
    """
    if re.match("(Criterion|Optimizer) does not match", str(error)):
        return str(error)
    if str(error).startswith("loaded state dict"):
        return "its optimizer has other parameters; please reset the optimizer (--reset-optimizer)"
    return None


@patch(Trainer, "load_checkpoint")
def resume_with_same_dictionaries(
    load_checkpoint: Original,
    trainer: Trainer,
    filename: str,
    reset_optimizer: bool = False,
    *args: Any,
    **kwargs: Any,
) -> State | None:
    """Raise InputError, naming the checkpoint and the data, for a dictionary with other words.

    A training that begins anew from the checkpoint's weights may have other words, with a warning:
    weights move from language to language so.
    """
    extra_state: State | None = load_checkpoint(trainer, filename, reset_optimizer, *args, **kwargs)
    try:
        dictionaries.compare((extra_state or {}).get(dictionaries.RECORDED, {}), trainer.task)
    except dictionaries.OtherWords as error:
        if not reset_optimizer:
            raise InputError(f"{filename}: {error}") from error
        logger.warning("%s: %s; each word begins as the one in its place there", filename, error)
    return extra_state
