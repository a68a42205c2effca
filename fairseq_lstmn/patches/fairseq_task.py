"""fairseq's base class of tasks: its generators, the batches of a shard, and examples too long."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator
from fairseq.sequence_generator import SequenceGenerator
from fairseq.sequence_scorer import SequenceScorer
from fairseq.tasks.fairseq_task import FairseqTask
from numpy.typing import NDArray
from torch import Tensor

from fairseq_lstmn.data.lengths import part_of, see_options
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.alignment import NONE_ATTENDS, with_alignment

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


NEW_WORDS = "lstmn_keeps_new_words"  # of a task, whose source dictionary may grow


def build_generator(
    build: Callable[..., Any],
    task: FairseqTask,
    models: Sequence[torch.nn.Module],
    args: Any,
    *rest: object,
    **kwargs: object,
) -> Any:
    """The task's method; where unknown words are to be replaced the generator aligns words.

    Raises:
        InputError: models without a source have words to replace; a search that writes word by
            word is asked for the steps of an iterative one.
    """
    generator = build(task, models, with_alignment(args), *rest, **kwargs)
    if isinstance(generator, (SequenceGenerator, SequenceScorer)):
        check_no_steps(args)
    if getattr(args, "replace_unk", None) is not None:
        if not any(hasattr(model, "encoder") for model in models):
            raise InputError(NONE_ATTENDS)
        generator.source_dictionary_size = len(task.source_dictionary)
        setattr(task, NEW_WORDS, True)
    return generator


def check_no_steps(args: Any) -> None:
    for name in ("print_step", "retain_iter_history"):
        if getattr(args, name, False):
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option}: needs a model that refines its answers (translation_lev)")


def get_interactive_tokens_and_lengths(
    get_tokens: Callable[..., tuple[list[Tensor], list[int]]],
    task: FairseqTask,
    lines: list[str],
    encode_fn: Callable[[str], str],
) -> tuple[list[Tensor], list[int]]:
    """The task's method; where unknown words are to be replaced, those of ``lines`` are kept.

    They get numbers behind those that models know, for which the generator reads unknown ones.
    """
    if hasattr(task, NEW_WORDS):
        for line in lines:
            task.source_dictionary.encode_line(encode_fn(line), add_if_not_exist=True)
    return get_tokens(task, lines, encode_fn)


def get_batch_iterator(
    get_iterator: Callable[..., EpochBatchIterator], task: FairseqTask, *args: Any, **kwargs: Any
) -> EpochBatchIterator:
    """The task's method; raises InputError for a shard of ``--num-shards`` without a batch.

    The processes of a training may have none: they repeat one.
    """
    iterator = get_iterator(task, *args, **kwargs)
    shards, shard = kwargs.get("num_shards", 1), kwargs.get("shard_id", 0)
    if shards == 1 or torch.distributed.is_initialized():
        return iterator
    batches = len(iterator.frozen_batches)
    if shard >= batches:
        raise InputError(
            f"--num-shards {shards} --shard-id {shard}: nothing is left for this shard, the text"
            f" has {batches} batches; a smaller --batch-size or --max-tokens makes more"
        )
    return iterator
