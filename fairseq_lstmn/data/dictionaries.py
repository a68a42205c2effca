"""Which words a checkpoint's model knows: recorded where it is saved, compared where it is loaded.

A model holds numbers of words and labels only. Two dictionaries of the same size fit it equally
well, and with the wrong one every answer is nonsense that no size gives away.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias

from fairseq.data import Dictionary
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.errors import InputError

State: TypeAlias = dict[str, Any]  # a checkpoint, or its task's or extra state, as fairseq has them

RECORDED = "dictionary_sums"  # in the state of a task, which fairseq keeps in its checkpoints
RECORDED_BEFORE = "dictionaries"  # up to version 0.2.0; a task of fairseq's has others there


class OtherWords(InputError):
    """A checkpoint was trained with another dictionary."""


def pop_sums(state: State) -> Mapping[str, str]:
    """Take the sums out of a task's state, and return them; of one without it is empty."""
    before = state.get(RECORDED_BEFORE)
    if isinstance(before, dict) and set(before) <= {"source", "target"}:
        del state[RECORDED_BEFORE]
    else:
        before = {}
    recorded: Mapping[str, str] = state.pop(RECORDED, before)
    return recorded


def recorded(checkpoint: State) -> Mapping[str, str]:
    """The sums in a checkpoint; empty in one by fairseq alone or older than they are."""
    return pop_sums(dict(checkpoint.get("task_state") or {}))


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
