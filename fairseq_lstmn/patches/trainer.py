"""``fairseq.trainer``: the steps of a training and of its validation."""

import logging
import math
from functools import cache
from typing import Any, TypeAlias

from fairseq.trainer import Trainer

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import WordEmbedding
from fairseq_lstmn.patches.non_finite import describe, is_of_this_package
from fairseq_lstmn.patches.registry import Original, patch

Logged: TypeAlias = dict[str, Any]  # what a step has to say by name, its loss among it

logger = logging.getLogger(__name__)


@patch(Trainer, "train_step")
def train_on_filled_batches(
    train_step: Original, trainer: Trainer, samples: list[Any], *args: Any, **kwargs: Any
) -> Any:
    """Leave out the empty ones among a process's batches of an update.

    At the end of an epoch of several processes some have an empty batch where others have the last
    ones. fairseq reads a stand-in for it, and where that comes last under ``--update-freq``, takes
    the whole update of the process for empty: its gradients count, its sample size, by which the
    gradients of all are divided, and its losses do not. Nothing but empty batches stays, so that
    every process takes part in the update.
    """
    # FSDP and TPUs want as many passes from every process
    if not (trainer.is_fsdp or trainer.tpu):
        samples = [sample for sample in samples if sample] or samples
    return train_step(trainer, samples, *args, **kwargs)


@patch(Trainer, "train_step")
def end_training_where_non_finite(
    train_step: Original, trainer: Trainer, *args: Any, **kwargs: Any
) -> Logged | None:
    """Raise InputError, naming the update and the first parameter or the loss that is non-finite.

    fairseq crashes where a gradient is, and goes on where only the loss is. An overflow in half
    precision that is scaled away is neither.
    """
    update = trainer.get_num_updates() + 1
    try:
        logged: Logged | None = train_step(trainer, *args, **kwargs)
    except FloatingPointError as error:
        where = describe(trainer.model) or str(error).splitlines()[0]
        raise InputError(f"update {update}: {where}; see --lr and --clip-norm") from error
    if logged and not has_finite_loss(logged):
        raise InputError(f"update {update}: the loss is {logged['loss']}; see --lr and --clip-norm")
    return logged


def has_finite_loss(logged: Logged) -> bool:
    """Whether a step's loss is finite, or none because nothing was to be predicted.

    So it is with masked words where a batch has none.
    """
    return math.isfinite(logged.get("loss", 0)) or logged.get("sample_size") == 0


@patch(Trainer, "get_valid_iterator")
def remember_subset(
    get_valid_iterator: Original, trainer: Any, subset: str, *args: Any, **kwargs: Any
) -> Any:
    """Note the subset, for which fairseq calls this before it validates on it."""
    trainer.validated_subset = subset
    return get_valid_iterator(trainer, subset, *args, **kwargs)


@patch(Trainer, "valid_step")
def end_validation_where_non_finite(
    valid_step: Original, trainer: Any, *args: Any, **kwargs: Any
) -> Logged:
    """Raise InputError, naming the update and the subset, for a loss that is non-finite.

    No other would ever count as better than it, and no checkpoint as the best from there on. A
    model that is not of this package may mean it (a sentence that its alignments cannot spell) and
    is judged by its other scores: there it is a warning.
    """
    logged: Logged = valid_step(trainer, *args, **kwargs)
    if has_finite_loss(logged):
        return logged
    complaint = (
        f"update {trainer.get_num_updates()}: the loss on {trainer.validated_subset!r} is"
        f" {logged['loss']}; see --lr and --clip-norm"
    )
    if is_of_this_package(trainer.model):
        raise InputError(complaint)
    warn_once(complaint)
    return logged


@cache  # every batch of a subset may say the same
def warn_once(complaint: str) -> None:
    logger.warning(complaint)


@patch(Trainer, "begin_epoch")
def tell_epoch(begin_epoch: Original, trainer: Trainer, epoch: int) -> Any:
    """This package's models hear which epoch begins, also on a resume in the middle of one.

    fairseq-fixed defines ``BaseFairseqModel.set_epoch`` and never calls it, fairseq has none.
    """
    for module in trainer.get_model().modules():
        if isinstance(module, WordEmbedding):
            module.set_epoch(epoch)
    return begin_epoch(trainer, epoch)
