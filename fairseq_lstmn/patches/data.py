"""``fairseq.data``: binarised data as they are on the disk, their batches, and how these are read.

Data folders that are not as ``fairseq-preprocess`` left them are named in one line.
"""

import atexit
import contextlib
import inspect
import multiprocessing
import os
import queue
import sys
import weakref
from collections.abc import Iterable
from typing import Any, TextIO

import numpy as np
from fairseq.data import Dictionary, data_utils, indexed_dataset
from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder
from fairseq.data.iterators import BufferedIterator, CountingIterator
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from fairseq_lstmn.errors import InputError, shortened
from fairseq_lstmn.patches.registry import Original, patch, setting


@patch(data_utils, "infer_language_pair")
def name_languages(infer_language_pair: Original, path: str) -> tuple[str | None, str | None]:
    """Raise InputError where no name of a file has a pair of languages."""
    try:
        pair: tuple[str | None, str | None] = infer_language_pair(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a data folder ({shortened(error)})") from error
    if None in pair:
        raise InputError(
            f"{path}: no text of a language pair is there by whose name --source-lang and"
            " --target-lang could be told"
        )
    return pair


@patch(Dictionary, "add_from_file")
def read_dictionary(add_from_file: Original, dictionary: Dictionary, f: str | TextIO) -> None:
    """Raise InputError for a file that cannot be read."""
    try:
        add_from_file(dictionary, f)
    except Exception as error:  # fairseq raises a plain one for text that is not UTF-8
        if not isinstance(f, str):
            raise
        raise InputError(f"{f}: cannot be read as a dictionary ({shortened(error)})") from error


@patch(indexed_dataset, "make_dataset")
def open_whole(make_dataset: Original, path: str, *args: Any, **kwargs: Any) -> Any:
    """Raise InputError for an index or text that is cut off.

    A text that is shorter than its index says would end a training in the middle of an epoch.
    """
    try:
        dataset = make_dataset(path, *args, **kwargs)
    except Exception as error:  # a damaged file can end in any of them
        raise InputError(
            f"{path}.idx, .bin: cannot be read as binarised text ({shortened(error)})"
        ) from error
    if isinstance(dataset, MMapIndexedDataset):
        text, index = indexed_dataset.data_file_path(path), dataset._index
        assert index is not None  # make_dataset reads it
        ends = index._pointers + index._sizes.astype(np.int64) * index.dtype().itemsize
        held, needed = os.path.getsize(text), int(ends.max(initial=0))
        if held < needed:
            raise InputError(f"{text}: cut off, it has {held:,} bytes of {needed:,}")
    return dataset


@patch(MMapIndexedDatasetBuilder, "finalize")
def finalize_with_python_sizes(
    finalize: Original, builder: MMapIndexedDatasetBuilder, *args: Any, **kwargs: Any
) -> Any:
    """``fairseq-preprocess --workers N`` writes a sound index for more than 2 GiB of tokens.

    The sizes merged from the workers' parts are ``np.int32``; numpy >= 2 adds them up to
    ``np.int32`` offsets, which wrap past 2 GiB and leave a corrupt index. Python's integers
    do not. (Only with ``--user-dir``: preprocessing does not import the plugin otherwise.)
    """
    builder._sizes = [int(size) for size in builder._sizes]
    return finalize(builder, *args, **kwargs)


@patch(data_utils, "batch_by_size")
def batch_all(
    batch_by_size: Original, indices: NDArray[np.int64] | Iterable[int], *args: Any, **kwargs: Any
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


@patch(BufferedIterator, "__init__")
@patch(CountingIterator, "__init__")
def fork_workers(init: Original, iterator: Any, *args: Any, **kwargs: Any) -> None:
    """A loader's workers are forks of the process also on Python 3.14, whose default is a server.

    The server's would import fairseq anew for every epoch and every validation, hold a copy of the
    data each, and escape those who count the process's CPU time (``compare``): no one waits for
    them. Who has chosen to spawn them still does.
    """
    loaders = [value for value in (*args, *kwargs.values()) if isinstance(value, DataLoader)]
    for loader in loaders:
        if loader.num_workers and multiprocessing.get_start_method() == "forkserver":
            loader.multiprocessing_context = "fork"
    init(iterator, *args, **kwargs)


reading_ahead: weakref.WeakSet[BufferedIterator] = weakref.WeakSet()


@patch(BufferedIterator, "_create_consumer")
def start_and_remember(create_consumer: Original, iterator: BufferedIterator) -> None:
    """The thread that reads batches ahead ends with the process.

    It fills a queue. Where nobody empties that any more (an error, --max-update reached) it is
    still at work when the interpreter goes, which kills it in the middle of torch's code and so
    aborts the process ("terminate called ...").
    """
    create_consumer(iterator)
    reading_ahead.add(iterator)


@atexit.register
def end_all() -> None:
    """End every such thread after the batch at which it is."""
    for iterator in list(reading_ahead):
        end(iterator)


def end(iterator: BufferedIterator) -> None:
    """End the thread of a BufferedIterator, of which nothing more can be read."""
    consumer, batches = iterator._consumer, iterator._queue
    assert consumer is not None  # it was started
    consumer._max_len = 0
    while consumer.is_alive():
        with contextlib.suppress(queue.Empty):
            batches.get(timeout=0.05)  # makes room for a batch that it wants to put
