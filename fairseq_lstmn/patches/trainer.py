"""Patches of ``fairseq.trainer.Trainer``."""

from collections.abc import Callable
from typing import Any, TypeVar

from fairseq.trainer import Trainer

Result = TypeVar("Result")


def train_on_filled_batches(
    train_step: Callable[..., Result],
    trainer: Trainer,
    samples: list[Any],
    *args: object,
    **kwargs: object,
) -> Result:
    """``Trainer.train_step`` without the empty ones among a process's batches of an update.

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
