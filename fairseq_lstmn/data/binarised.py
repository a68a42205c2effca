"""Data folders that are not as ``fairseq-preprocess`` left them."""

import os
import re
import textwrap
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TextIO, TypeVar

import numpy as np
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDataset, data_file_path
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.errors import InputError

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")

# as fairseq's tasks say it, an exception's text or an assertion's
NOT_FOUND = re.compile(r"Dataset not found: \S+ \((.*)\)|could not find dataset: (.*)")


def load_subset(
    load_dataset: Callable[Concatenate[FairseqTask, str, Rest], Result],
    task: FairseqTask,
    split: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """A task's ``load_dataset``; raises InputError for a subset that its data folder has not."""
    try:
        return load_dataset(task, split, *args, **kwargs)
    except (FileNotFoundError, AssertionError) as error:
        missing = NOT_FOUND.fullmatch(str(error))
        if missing is None:
            raise
        place = missing[1] or missing[2]
        raise InputError(f"{place}: no binarised text of the subset {split!r} is there") from error


def name_languages(
    infer_language_pair: Callable[[str], tuple[str | None, str | None]], path: str
) -> tuple[str | None, str | None]:
    """fairseq's ``infer_language_pair``; raises InputError where no name of a file has a pair."""
    try:
        pair = infer_language_pair(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a data folder ({short(error)})") from error
    if None in pair:
        raise InputError(
            f"{path}: no text of a language pair is there by whose name --source-lang and"
            " --target-lang could be told"
        )
    return pair


def read_dictionary(
    add_from_file: Callable[[Dictionary, str | TextIO], None],
    dictionary: Dictionary,
    f: str | TextIO,
) -> None:
    """fairseq's ``Dictionary.add_from_file``; raises InputError for a file it cannot read."""
    if not isinstance(f, str):
        return add_from_file(dictionary, f)
    try:
        return add_from_file(dictionary, f)
    except Exception as error:  # fairseq raises a plain one for text that is not UTF-8
        raise InputError(f"{f}: cannot be read as a dictionary ({short(error)})") from error


def open_whole(
    make_dataset: Callable[Concatenate[str, Rest], Result],
    path: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``make_dataset``; raises InputError for an index or text that is cut off."""
    try:
        dataset = make_dataset(path, *args, **kwargs)
    except Exception as error:  # a damaged file can end in any of them
        raise InputError(
            f"{path}.idx, .bin: cannot be read as binarised text ({short(error)})"
        ) from error
    if isinstance(dataset, MMapIndexedDataset):
        text, index = data_file_path(path), dataset._index
        assert index is not None  # make_dataset reads it
        held, needed = os.path.getsize(text), bytes_needed(index)
        if held < needed:
            raise InputError(f"{text}: cut off, it has {held:,} bytes of {needed:,}")
    return dataset


def bytes_needed(index: MMapIndexedDataset.Index) -> int:
    """The bytes of text that an index of sentences speaks of."""
    ends = index._pointers + index._sizes.astype(np.int64) * index.dtype().itemsize
    return int(ends.max(initial=0))


def short(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 120)
