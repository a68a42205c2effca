"""What ``sentence_prediction`` predicts, held against the data: labels, or numbers in regression.

N rows.
"""

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from fairseq.data import BaseWrapperDataset, Dictionary, FairseqDataset, NestedDictionaryDataset
from fairseq.data.indexed_dataset import MMapIndexedDataset
from numpy.typing import NDArray

from fairseq_lstmn.errors import InputError

# fairseq's SentencePredictionTask, of whose options its type says nothing
PredictionTask: TypeAlias = Any

NO_LABELS = re.compile(r"<mask>|madeupword\d+")  # what fairseq adds to a dictionary


def labels(dictionary: Dictionary) -> list[str]:
    """The labels of a dictionary in the order of their numbers."""
    symbols: list[str] = dictionary.symbols[dictionary.nspecial :]
    return [symbol for symbol in symbols if not NO_LABELS.fullmatch(symbol)]


def disagreement(task: PredictionTask) -> str | None:
    """One line, where a task has another number of classes than its data have labels; else None."""
    names = labels(task.label_dictionary)
    if task.cfg.num_classes == len(names):
        return None
    return (
        f"--num-classes {task.cfg.num_classes}: {task.cfg.data}/label/dict.txt has {len(names)}"
        f" labels ({textwrap.shorten(', '.join(names), 80, placeholder=' ...')})"
    )


def classes(task: PredictionTask) -> list[str]:
    """The names of a task's classes. Raises InputError where its data have others, or numbers."""
    if task.cfg.regression_target:
        raise InputError("--regression-target: numbers are predicted, and no classes")
    if reason := disagreement(task):
        raise InputError(reason)
    return labels(task.label_dictionary)


def outputs(task: PredictionTask) -> list[str]:
    """The names of all that is predicted: those of the classes; of numbers value, value2, ..."""
    if not task.cfg.regression_target:
        return classes(task)
    return ["value", *(f"value{k}" for k in range(2, task.cfg.num_classes + 1))]


def check_labels(task: PredictionTask, split: str) -> None:
    """Raise InputError for the first row of a loaded part of the data without a class."""
    dataset = unwrapped(task.datasets[split])
    if not isinstance(dataset, NestedDictionaryDataset) or "target" not in dataset.defn:
        return
    rows: Any = unwrapped(dataset.defn["target"])  # binarised, in one of fairseq's formats
    dictionary, number = task.label_dictionary, task.cfg.num_classes
    bad = without_class(rows, dictionary, number)
    if len(bad):
        raise InputError(
            f"{task.cfg.data}/label/{split}: row {bad[0] + 1} has the label"
            f" {dictionary.string(rows[bad[0]])!r}, which is none of the {number} classes"
        )


def unwrapped(dataset: FairseqDataset) -> FairseqDataset:
    """What one or several of fairseq's wrappers hold."""
    while isinstance(dataset, BaseWrapperDataset):
        dataset = dataset.dataset
    return dataset


def without_class(rows: Any, dictionary: Dictionary, number: int) -> NDArray[np.int64]:
    """The indices of the rows that are not one label, of the first ``number`` in the dictionary."""
    if not len(rows):
        return np.array([], dtype=np.int64)
    tokens = all_tokens(rows)
    row_of = np.repeat(np.arange(len(rows)), rows.sizes)
    words = tokens != dictionary.eos()
    in_range = (dictionary.nspecial <= tokens) & (tokens < dictionary.nspecial + number)
    counts, sound = (
        np.bincount(row_of[which], minlength=len(rows)) for which in (words, words & in_range)
    )
    return np.flatnonzero((counts != 1) | (sound != 1))


def all_tokens(rows: Any) -> NDArray[np.integer[Any]]:
    """The tokens of all rows, one row behind the other."""
    if isinstance(rows, MMapIndexedDataset):  # a row at a time takes 20 s for SNLI
        held: Any = rows  # its buffer and index, which its type calls optional
        return np.frombuffer(held._bin_buffer, dtype=held._index.dtype)
    if rows.supports_prefetch:  # and can be read in no other way
        rows.prefetch(range(len(rows)))
    tokens: NDArray[np.integer[Any]] = np.concatenate([rows[k].numpy() for k in range(len(rows))])
    return tokens


def check_numbers(task: PredictionTask, split: str) -> None:
    """Raise InputError for a part of the data whose rows are not finite numbers, one an output."""
    path, number = Path(task.cfg.data, "label", f"{split}.label"), task.cfg.num_classes
    for k, line in enumerate(read_lines(path), start=1):
        values = line.split()
        if len(values) != number:
            raise InputError(
                f"{path}: line {k} has {len(values)} numbers, but --num-classes is {number}"
            )
        for value in values:
            if not is_finite(value):
                raise InputError(f"{path}: line {k}: {value}: is no number")


def read_lines(path: Path) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: cannot be read (not UTF-8 text)") from None


def is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
