"""Which words a checkpoint's model knows: recorded where it is saved, compared where it is loaded.

A model holds numbers of words only. Two dictionaries of the same size fit it equally well, and
with the wrong one every answer is nonsense that no size gives away.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec

from fairseq.data import Dictionary
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.checkpoints import State
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.training.trainer import Trainer

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes

RECORDED = "dictionaries"  # in the state of a task, which fairseq keeps in its checkpoints


class OtherWords(InputError):
    """A checkpoint was trained with another dictionary."""


def state_with_dictionaries(state_dict: Callable[[FairseqTask], State], task: FairseqTask) -> State:
    """fairseq's ``task.state_dict()`` with the SHA-256 of the words on each side."""
    return {**state_dict(task), RECORDED: sums(task)}


def load_state_of_same_dictionaries(
    load_state_dict: Callable[[FairseqTask, State], None], task: FairseqTask, state: State
) -> None:
    """fairseq's ``task.load_state_dict(state)``; raises OtherWords for other words.

    Checkpoints without a record, by fairseq alone or older than it, are taken as they are.
    """
    state = dict(state)
    compare(state.pop(RECORDED, {}), task)
    return load_state_dict(task, state)


def hand_record_to_trainer(
    load_checkpoint_to_cpu: Callable[Rest, State], *args: Rest.args, **kwargs: Rest.kwargs
) -> State:
    """fairseq's function of that name; the record is in the extra state too.

    That is all that a trainer hands back of a checkpoint's state, in every process.
    """
    state = load_checkpoint_to_cpu(*args, **kwargs)
    task_state = state.get("task_state") or {}
    if RECORDED in task_state and "extra_state" in state:  # which some leave out, to share models
        state["extra_state"] = {**state["extra_state"], RECORDED: task_state[RECORDED]}
    return state


def resume_with_same_dictionaries(
    load_checkpoint: Callable[Concatenate[Trainer, str, Rest], State | None],
    trainer: Trainer,
    filename: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> State | None:
    """fairseq's ``Trainer.load_checkpoint``; raises InputError for other words.

    One line names the checkpoint and the data.
    """
    extra_state = load_checkpoint(trainer, filename, *args, **kwargs)
    try:
        compare((extra_state or {}).get(RECORDED, {}), trainer.task)
    except OtherWords as error:
        raise InputError(f"{filename}: {error}") from error
    return extra_state


def compare(recorded: Mapping[str, str], task: FairseqTask) -> None:
    """Raise OtherWords, naming the side and the data, where the task's words are not recorded."""
    own = sums(task)
    for side in own:
        if recorded.get(side, own[side]) != own[side]:
            raise OtherWords(f"its {side} dictionary has other words than the one of {data(task)}")


def data(task: FairseqTask) -> str:
    """The data folder of ``task``, as the user has given it."""
    settings: Any = getattr(task, "args", None) or task.cfg  # a language model's are in the former
    folder: str = getattr(settings, "data", "this data")
    return folder


def sums(task: FairseqTask) -> dict[str, str]:
    """``{"source": SHA-256, "target": SHA-256}`` of the dictionaries that ``task`` has."""
    found = {}
    for side in ("source", "target"):
        try:
            dictionary = getattr(task, f"{side}_dictionary")
        except (AttributeError, NotImplementedError):  # a task without text on that side
            continue
        if isinstance(dictionary, Dictionary):
            words = "\n".join(dictionary.symbols)
            found[side] = hashlib.sha256(words.encode()).hexdigest()
    return found
