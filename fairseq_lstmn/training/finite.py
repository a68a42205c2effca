"""Numbers that are no numbers: runs and checkpoints end by naming where they are."""

import logging
import math
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import torch
from fairseq.data.iterators import EpochBatchIterator
from fairseq.dataclass.configs import CheckpointConfig
from fairseq.models import BaseFairseqModel
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.training.trainer import Trainer, is_of_this_package

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")
Logged: TypeAlias = dict[str, Any]  # what a step has to say by name, its loss among it

logger = logging.getLogger(__name__)


def check_weights(model: nn.Module, origin: str) -> None:
    """Raise InputError, beginning with ``origin``, for a weight that is NaN or infinite.

    Models of this package read all their weights. Of others some have weights that are neither
    initialised nor read; those go on with a warning, up to the first probability that is NaN.
    """
    non_finite = named(model.named_parameters())
    if non_finite is None:
        return
    if is_of_this_package(model):
        raise InputError(f"{origin}: {non_finite} NaN or infinity")
    logger.warning("%s: %s NaN or infinity, which counts only if it is read", origin, non_finite)
    if isinstance(model, BaseFairseqModel):
        complaint = f"{origin}: a probability is NaN, since {non_finite} NaN or infinity"
        checked = partial(finite_probs, model.get_normalized_probs, complaint)
        vars(model)["get_normalized_probs"] = checked  # of this model alone


def finite_probs(
    get_normalized_probs: Callable[..., Tensor], complaint: str, *args: object, **kwargs: object
) -> Tensor:
    """A model's ``get_normalized_probs``; raises InputError, ``complaint``, for NaN."""
    probabilities = get_normalized_probs(*args, **kwargs)
    if torch.isnan(probabilities).any():
        raise InputError(complaint)
    return probabilities


def train_on_numbers(
    train_step: Callable[Concatenate[Trainer, Rest], Logged | None],
    trainer: Trainer,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Logged | None:
    """fairseq's ``Trainer.train_step``.

    Raises InputError, naming the update and the first parameter concerned, where fairseq finds
    gradients that are no numbers, and where it goes on because only the loss is none. An overflow
    in half precision that is scaled away is neither.
    """
    update = trainer.get_num_updates() + 1
    try:
        logged = train_step(trainer, *args, **kwargs)
    except FloatingPointError as error:
        where = describe(trainer.model) or str(error).splitlines()[0]
        raise InputError(f"update {update}: {where}; see --lr and --clip-norm") from error
    if logged and not has_finite_loss(logged):
        raise InputError(f"update {update}: the loss is {logged['loss']}; see --lr and --clip-norm")
    return logged


def has_finite_loss(logged: Logged) -> bool:
    """Whether a step's loss is a number, or has none because nothing was to be predicted.

    So it is with masked words where a batch has none.
    """
    return math.isfinite(logged.get("loss", 0)) or logged.get("sample_size") == 0


def remember_subset(
    get_valid_iterator: Callable[Concatenate[Trainer, str, Rest], Result],
    trainer: Trainer,
    subset: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``Trainer.get_valid_iterator``, asked for before each subset is validated."""
    trainer.validated_subset = subset
    return get_valid_iterator(trainer, subset, *args, **kwargs)


def validate_on_numbers(
    valid_step: Callable[Concatenate[Trainer, Rest], Logged],
    trainer: Trainer,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Logged:
    """fairseq's ``Trainer.valid_step``.

    Raises InputError, naming the update and the subset, for a loss that is no number: no other
    would ever count as better than it, and no checkpoint as the best from there on. A model that
    is not of this package may mean it (a sentence that its alignments cannot spell) and is judged
    by its other scores: there it is a warning.
    """
    logged = valid_step(trainer, *args, **kwargs)
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


def choose_by_numbers(
    save_checkpoint: Callable[
        [CheckpointConfig, Trainer, EpochBatchIterator, float | None], Result
    ],
    cfg: CheckpointConfig,
    trainer: Trainer,
    epoch_itr: EpochBatchIterator,
    val_loss: float | None,
) -> Result:
    """fairseq's ``checkpoint_utils.save_checkpoint``, with no score instead of one that is NaN.

    So is a correlation with answers that are all the same.
    """
    if val_loss is not None and math.isnan(val_loss):
        logger.warning(
            "update %d: --best-checkpoint-metric %s is %s; no best checkpoint is chosen by it",
            trainer.get_num_updates(),
            cfg.best_checkpoint_metric,
            val_loss,
        )
        val_loss = None
    return save_checkpoint(cfg, trainer, epoch_itr, val_loss)


def describe(model: nn.Module) -> str | None:
    """Which weights, or else which gradients, are NaN or infinite; None if none is."""
    if found := named(model.named_parameters()):
        return f"{found} NaN or infinity"
    gradients = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    if found := named(gradients):
        return f"the gradient of {found} NaN or infinity"
    return None


def named(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The first name of a tensor with a number that is none, and how many more there are."""
    found = [name for name, tensor in tensors if not torch.isfinite(tensor).all()]
    if not found:
        return None
    return f"{found[0]} and {len(found) - 1} more hold" if found[1:] else f"{found[0]} holds"
