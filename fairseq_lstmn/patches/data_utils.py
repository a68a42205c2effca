"""``fairseq.data.data_utils``: batches, buckets and languages."""

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec

import numpy as np
from fairseq.data import data_utils
from numpy.typing import NDArray

from fairseq_lstmn.data import binarised
from fairseq_lstmn.patches.registry import patch, setting

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes

# A folder without a language pair is named in one line.
patch(data_utils, "infer_language_pair")(binarised.name_languages)


@patch(data_utils, "batch_by_size")
def batch_all(
    batch_by_size: Callable[Concatenate[NDArray[np.int64], Rest], list[NDArray[np.int64]]],
    indices: NDArray[np.int64] | Iterable[int],
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> list[NDArray[np.int64]]:
    """No example is lost when their number is no multiple of the required batch size.

    fairseq > 0.12.2 drops the last batch where its size is no multiple of
    ``--required-batch-size-multiple`` (8 by default): up to 7 examples silently missing from
    training, validation and generation, and an IndexError when there are none at all.
    Batches are consecutive slices of the indices, so what is missing at the end is that batch.
    """
    if not isinstance(indices, np.ndarray):
        indices = np.fromiter(indices, dtype=np.int64)
    if len(indices) == 0:
        return []
    batches = batch_by_size(indices, *args, **kwargs)
    rest = indices[sum(map(len, batches)) :]
    return [*batches, rest] if len(rest) else batches


@setting
def patch_length_buckets() -> None:
    """``--num-batch-buckets`` works without ``np.percentile(interpolation=...)``.

    numpy renamed the argument to ``method`` in 1.22 and removed the old name in 2.4.
    """
    if "interpolation" in inspect.signature(np.percentile).parameters:
        return
    broken = data_utils.get_buckets
    for module in list(sys.modules.values()):  # some have imported it by name
        if getattr(module, "get_buckets", None) is broken:
            vars(module)["get_buckets"] = get_buckets


def get_buckets(sizes: NDArray[np.integer[Any]], num_buckets: int) -> NDArray[Any]:
    bounds = np.percentile(sizes, np.linspace(0, 100, num_buckets + 1), method="lower")
    return np.unique(bounds[1:])
