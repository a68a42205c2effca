"""Which words a checkpoint's model knows: recorded where it is saved, compared where it is loaded.

A model holds numbers of words and labels only. Two dictionaries of the same size fit it equally
well, and with the wrong one every answer is nonsense that no size gives away.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from fairseq.data import Dictionary
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.checkpoints import State
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.training.trainer import Trainer

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes

logger = logging.getLogger(__name__)

RECORDED = "dictionary_sums"  # in the state of a task, which fairseq keeps in its checkpoints
RECORDED_BEFORE = "dictionaries"  # up to version 0.2.0; a task of fairseq's has others there


class OtherWords(InputError):
    """A checkpoint was trained with another dictionary."""


def state_with_dictionaries(state_dict: Callable[[FairseqTask], State], task: FairseqTask) -> State:
    """fairseq's ``task.state_dict()`` with the SHA-256 of each dictionary's words."""
    return {**state_dict(task), RECORDED: sums(task)}


def load_state_of_same_dictionaries(
    load_state_dict: Callable[[FairseqTask, State], None], task: FairseqTask, state_dict: State
) -> None:
    """fairseq's ``task.load_state_dict(state_dict)``; raises OtherWords for other words.

    Checkpoints without a record, by fairseq alone or older than it, are taken as they are.
    """
    state = dict(state_dict)
    compare(taken_out(state), task)
    return load_state_dict(task, state)


def taken_out(state: State) -> Mapping[str, str]:
    """Take the record out of a task's state, and return it; without one it is empty."""
    before = state.get(RECORDED_BEFORE)
    if isinstance(before, dict) and set(before) <= {"source", "target"}:
        del state[RECORDED_BEFORE]
    else:
        before = {}
    record: Mapping[str, str] = state.pop(RECORDED, before)
    return record


def recorded(checkpoint: State) -> Mapping[str, str]:
    """The record in a checkpoint; without one it is empty."""
    return taken_out(dict(checkpoint.get("task_state") or {}))


def hand_record_to_trainer(
    load_checkpoint_to_cpu: Callable[Rest, State], *args: Rest.args, **kwargs: Rest.kwargs
) -> State:
    """fairseq's function of that name; the record is in the extra state too.

    That is all that a trainer hands back of a checkpoint's state, in every process.
    """
    state = load_checkpoint_to_cpu(*args, **kwargs)
    record = recorded(state)
    if record and "extra_state" in state:  # which some leave out, to share models
        state["extra_state"] = {**state["extra_state"], RECORDED: record}
    return state


def resume_with_same_dictionaries(
    load_checkpoint: Callable[..., State | None],
    trainer: Trainer,
    filename: str,
    reset_optimizer: bool = False,
    *args: object,
    **kwargs: object,
) -> State | None:
    """fairseq's ``Trainer.load_checkpoint``; raises InputError for other words.

    One line names the checkpoint and the data. A training that begins anew from the checkpoint's
    weights may have other words, with a warning: weights move from language to language so.
    """
    extra_state = load_checkpoint(trainer, filename, reset_optimizer, *args, **kwargs)
    try:
        compare((extra_state or {}).get(RECORDED, {}), trainer.task)
    except OtherWords as error:
        if not reset_optimizer:
            raise InputError(f"{filename}: {error}") from error
        logger.warning("%s: %s; each word begins as the one in its place there", filename, error)
    return extra_state


def compare(recorded: Mapping[str, str], task: FairseqTask) -> None:
    """Raise OtherWords, naming the dictionary and the data, where not the task's is recorded."""
    own = sums(task)
    for name in own:
        if recorded.get(name, own[name]) != own[name]:
            raise OtherWords(f"its {name} dictionary has other words than the one of {data(task)}")


def data(task: FairseqTask) -> str:
    """The data folder of ``task``, as the user has given it."""
    settings: Any = getattr(task, "args", None) or task.cfg  # a language model's are in the former
    folder: str = getattr(settings, "data", "this data")
    return folder


def sums(task: FairseqTask) -> dict[str, str]:
    """``{name: SHA-256}`` of the dictionaries that ``task`` has."""
    return {
        name: hashlib.sha256("\n".join(dictionary.symbols).encode()).hexdigest()
        for name, dictionary in dictionaries(task).items()
        if isinstance(dictionary, Dictionary)
    }


def dictionaries(task: FairseqTask) -> Mapping[str, object]:
    """By language where a task has several pairs, else by ``source``, ``target`` and ``label``.

    A task for several pairs has a source and a target only when it answers, for one of them.
    """
    by_language = getattr(task, "dicts", None)
    if isinstance(by_language, Mapping):
        return by_language
    return {side: side_of(task, side) for side in ("source", "target", "label")}


def side_of(task: FairseqTask, side: str) -> object:
    """``task.source_dictionary``, or that of another side; None where it has no such."""
    try:
        return getattr(task, f"{side}_dictionary")
    except Exception:  # a task may read it only now, from a file that scoring does not need
        return None
