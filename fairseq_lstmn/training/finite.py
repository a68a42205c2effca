"""Numbers that are no numbers: runs and checkpoints end by naming where they are."""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import torch
from fairseq.data.iterators import EpochBatchIterator
from fairseq.dataclass.configs import CheckpointConfig
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.training.trainer import Trainer

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")
Logged: TypeAlias = dict[str, Any]  # what a step has to say by name, its loss among it

logger = logging.getLogger(__name__)


def check_weights(model: nn.Module, origin: str) -> None:
    """Raise InputError, beginning with ``origin``, for a weight that is NaN or infinite."""
    if found := named(model.named_parameters()):
        raise InputError(f"{origin}: {found} NaN or infinity")


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
    loss = (logged or {}).get("loss", 0)
    if not math.isfinite(loss):
        raise InputError(f"update {update}: the loss is {loss}; see --lr and --clip-norm")
    return logged


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
    would ever count as better than it, and no checkpoint as the best from there on.
    """
    logged = valid_step(trainer, *args, **kwargs)
    loss = logged["loss"]
    if not math.isfinite(loss):
        raise InputError(
            f"update {trainer.get_num_updates()}: the loss on {trainer.validated_subset!r} is"
            f" {loss}; see --lr and --clip-norm"
        )
    return logged


def choose_by_numbers(
    save_checkpoint: Callable[
        [CheckpointConfig, Trainer, EpochBatchIterator, float | None], Result
    ],
    settings: CheckpointConfig,
    trainer: Trainer,
    epoch_itr: EpochBatchIterator,
    score: float | None,
) -> Result:
    """fairseq's ``checkpoint_utils.save_checkpoint``, with no score instead of one that is NaN.

    So is a correlation with answers that are all the same.
    """
    if score is not None and math.isnan(score):
        logger.warning(
            "update %d: --best-checkpoint-metric %s is %s; no best checkpoint is chosen by it",
            trainer.get_num_updates(),
            settings.best_checkpoint_metric,
            score,
        )
        score = None
    return save_checkpoint(settings, trainer, epoch_itr, score)


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
