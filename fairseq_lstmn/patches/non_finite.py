"""Weights and gradients that are NaN or infinite, by name."""

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from fairseq.models import BaseFairseqModel
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import Original

logger = logging.getLogger(__name__)


def check_weights(model: nn.Module, origin: str) -> None:
    """Raise InputError, beginning with ``origin``, for a weight that is NaN or infinite.

    Models of this package read all their weights. Of others some have weights that are neither
    initialised nor read; those go on with a warning, up to the first probability that is NaN.
    """
    non_finite = first_of(model.named_parameters())
    if non_finite is None:
        return
    if is_of_this_package(model):
        raise InputError(f"{origin}: {non_finite} NaN or infinity")
    logger.warning("%s: %s NaN or infinity, which counts only if it is read", origin, non_finite)
    if isinstance(model, BaseFairseqModel):
        complaint = f"{origin}: a probability is NaN, since {non_finite} NaN or infinity"
        checked = partial(probabilities_without_nan, model.get_normalized_probs, complaint)
        vars(model)["get_normalized_probs"] = checked  # of this model alone


def probabilities_without_nan(
    get_normalized_probs: Original, complaint: str, *args: Any, **kwargs: Any
) -> Any:
    """A model's ``get_normalized_probs``; raises InputError, ``complaint``, for NaN."""
    probabilities = get_normalized_probs(*args, **kwargs)
    if torch.isnan(probabilities).any():
        raise InputError(complaint)
    return probabilities


def describe(model: nn.Module) -> str | None:
    """Which weights, or else which gradients, are NaN or infinite; None if none is."""
    if weights := first_of(model.named_parameters()):
        return f"{weights} NaN or infinity"
    gradients = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    if non_finite := first_of(gradients):
        return f"the gradient of {non_finite} NaN or infinity"
    return None


def first_of(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The first name of a tensor with a non-finite number, and how many more there are."""
    names = [name for name, tensor in tensors if not torch.isfinite(tensor).all()]
    if not names:
        return None
    return f"{names[0]} and {len(names) - 1} more hold" if names[1:] else f"{names[0]} holds"


def is_of_this_package(model: nn.Module) -> bool:
    """Whether ``model``, or one that it wraps or is made of, is defined in this package."""
    package = __name__.partition(".")[0] + "."
    return any(type(module).__module__.startswith(package) for module in model.modules())
