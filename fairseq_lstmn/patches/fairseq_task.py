"""``fairseq.tasks.fairseq_task``: examples that are longer than a model or a task takes."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from fairseq.data import FairseqDataset
from fairseq.tasks.fairseq_task import FairseqTask
from numpy.typing import NDArray

from fairseq_lstmn.data.lengths import part_of, see_options
from fairseq_lstmn.errors import InputError

Indices: TypeAlias = NDArray[np.int64]

SKIP = "--skip-invalid-size-inputs-valid-test"  # which fairseq names where an example is too long


def filter_or_say_why_not(
    filter_indices_by_size: Callable[..., Indices],
    task: FairseqTask,
    indices: Indices,
    dataset: FairseqDataset,
    max_positions: Any = None,  # a number, or one for each side of a pair
    *args: Any,
    **kwargs: Any,
) -> Indices:
    """fairseq's ``FairseqTask.filter_indices_by_size``.

    Raises InputError, naming the part of the data and the options, for an example that is too long
    where none is to be skipped, and where none is left.
    """
    try:
        left = filter_indices_by_size(task, indices, dataset, max_positions, *args, **kwargs)
    except Exception as error:  # fairseq raises a plain one
        if SKIP not in str(error):
            raise
        raise InputError(f"{part_of(task, dataset)}: {error}{see_options(task)}") from error
    if len(left) == 0:
        part, count = part_of(task, dataset), len(indices)
        raise InputError(
            f"{part}: all {count:,} examples are longer than max_positions={max_positions}"
            f"{see_options(task)}"
            if count
            else f"{part}: holds no example"
        )
    return left
