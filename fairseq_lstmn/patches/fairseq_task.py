"""fairseq's base class of tasks: its generators, its batches and its dictionaries."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator
from fairseq.sequence_generator import SequenceGenerator
from fairseq.sequence_scorer import SequenceScorer
from fairseq.tasks.fairseq_task import FairseqTask
from numpy.typing import NDArray

from fairseq_lstmn.data import dictionaries
from fairseq_lstmn.data.dictionaries import State
from fairseq_lstmn.data.lengths import part_of, see_options
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.alignment import NONE_ATTENDS, with_alignment
from fairseq_lstmn.patches.registry import Original, patch

Indices: TypeAlias = NDArray[np.int64]

SKIP = "--skip-invalid-size-inputs-valid-test"  # which fairseq names where an example is too long
NEW_WORDS = "lstmn_keeps_new_words"  # of a task, whose source dictionary may grow


@patch(FairseqTask, "filter_indices_by_size")
def filter_or_say_why_not(
    filter_indices_by_size: Original,
    task: FairseqTask,
    indices: Indices,
    dataset: FairseqDataset,
    max_positions: Any = None,  # a number, or one for each side of a pair
    *args: Any,
    **kwargs: Any,
) -> Indices:
    """Raise InputError for an example that is too long, and where none is left.

    It names the part of the data and the options.
    """
    try:
        left: Indices = filter_indices_by_size(
            task, indices, dataset, max_positions, *args, **kwargs
        )
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


@patch(FairseqTask, "build_generator")
def build_generator(
    build: Original,
    task: FairseqTask,
    models: Sequence[torch.nn.Module],
    args: Any,
    *rest: Any,
    **kwargs: Any,
) -> Any:
    """Where unknown words are to be replaced the generator aligns words.

    Raises InputError for models without a source that have words to replace, and for a search word
    by word that is asked for the steps of an iterative one.
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


@patch(FairseqTask, "get_interactive_tokens_and_lengths")
def keep_new_words(
    get_tokens: Original, task: FairseqTask, lines: list[str], encode_fn: Any
) -> Any:
    """Where unknown words are to be replaced, those of ``lines`` are kept.

    They get numbers behind those that models know, for which the generator reads unknown ones.
    """
    if hasattr(task, NEW_WORDS):
        for line in lines:
            task.source_dictionary.encode_line(encode_fn(line), add_if_not_exist=True)
    return get_tokens(task, lines, encode_fn)


@patch(FairseqTask, "get_batch_iterator")
def refuse_empty_shard(
    get_iterator: Original, task: FairseqTask, *args: Any, **kwargs: Any
) -> EpochBatchIterator:
    """Raise InputError for a shard of ``--num-shards`` without a batch.

    The processes of a training may have none: they repeat one.
    """
    iterator: EpochBatchIterator = get_iterator(task, *args, **kwargs)
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


class RebuildingConfig:
    """A task's config (None for a legacy task) which also says ``rebuild_batches``."""

    rebuild_batches = True

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cfg, name)

    def __getitem__(self, name: str) -> Any:
        return self._cfg[name]

    def __contains__(self, name: str) -> bool:
        return name in self._cfg


@patch(FairseqTask, "get_batch_iterator")
def get_rebuilding_iterator(
    get_batch_iterator: Original, task: FairseqTask, *args: Any, **kwargs: Any
) -> Any:
    """A resumed run trains on the same batches as an uninterrupted one.

    fairseq > 0.12.2 composes the training batches with the seed of the epoch in which the
    process started and keeps them, so a run resumed after its first epoch sees others. It has a
    cure, ``rebuild_batches`` in the task's config, which hardly any task offers; here it is on
    for each task that does not set it. Validation keeps its batches: they never depend on the
    epoch at which a run was resumed.
    """
    cfg = task.cfg
    trains = "update_epoch_batch_itr" in kwargs  # only the trainer's training iterator says it
    if not trains or getattr(cfg, "rebuild_batches", None) is not None:
        return get_batch_iterator(task, *args, **kwargs)
    stand_in: Any = RebuildingConfig(cfg)
    task.cfg = stand_in
    try:
        return get_batch_iterator(task, *args, **kwargs)
    finally:
        task.cfg = cfg


@patch(FairseqTask, "state_dict")
def save_dictionaries(state_dict: Original, task: FairseqTask) -> State:
    """Save the SHA-256 of each dictionary's words with the task.

    fairseq uses a model with another dictionary that happens to have the same size, silently, also
    with one model of an ensemble and where a training is resumed.
    """
    return {**state_dict(task), dictionaries.RECORDED: dictionaries.sums(task)}


@patch(FairseqTask, "load_state_dict")
def compare_dictionaries(load_state_dict: Original, task: FairseqTask, state_dict: State) -> None:
    """Raise OtherWords for dictionaries with other words than those that were saved.

    Checkpoints without any, by fairseq alone or older than that, are taken as they are.
    """
    state = dict(state_dict)
    dictionaries.compare(dictionaries.pop_sums(state), task)
    load_state_dict(task, state)
