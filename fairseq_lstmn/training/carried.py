"""Tapes that a language model carries from batch to batch, in its checkpoints.

They stand beside the training state, not in the model's, so that other programs load the model as
before, older checkpoints are loaded with empty tapes, and an evaluation starts with none. Each
process has tapes of its own; the one that writes gets those of all.
"""

import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from fairseq.dataclass.configs import CheckpointConfig

from fairseq_lstmn.checkpoints import State
from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.training.trainer import Trainer

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")
Tapes = TypeVar("Tapes")  # a process's, or None

logger = logging.getLogger(__name__)

KEPT = "carried_tapes"  # in a checkpoint's extra_state: by rank


def gather_tapes(
    save_checkpoint: Callable[Concatenate[CheckpointConfig, Trainer, Rest], Result],
    cfg: CheckpointConfig,
    trainer: Trainer,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``checkpoint_utils.save_checkpoint``, called in every process before one writes."""
    carried = of_trainer(trainer)
    if carried is None or cfg.no_save:
        return save_checkpoint(cfg, trainer, *args, **kwargs)
    trainer.gathered_tapes = gathered(carried.state(), trainer)
    try:
        return save_checkpoint(cfg, trainer, *args, **kwargs)
    finally:
        del trainer.gathered_tapes


def gathered(state: Tapes, trainer: Trainer) -> list[Tapes | None]:
    """``[state of each process]`` by rank."""
    processes = trainer.data_parallel_world_size
    if processes == 1:
        return [state]
    states: list[Tapes | None] = [None] * processes
    torch.distributed.all_gather_object(states, state, group=trainer.data_parallel_process_group)
    return states


def save_with_tapes(
    save_checkpoint: Callable[[Trainer, str, State], Result],
    trainer: Trainer,
    filename: str,
    extra_state: State,
) -> Result:
    """fairseq's ``Trainer.save_checkpoint``, which a process in trouble calls alone."""
    tapes = getattr(trainer, "gathered_tapes", None)
    if tapes is not None:
        extra_state = {**extra_state, KEPT: tapes}
    return save_checkpoint(trainer, filename, extra_state)


def load_with_tapes(
    load_checkpoint: Callable[Concatenate[Trainer, str, Rest], State | None],
    trainer: Trainer,
    filename: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> State | None:
    """fairseq's ``Trainer.load_checkpoint``.

    Tapes of another number of processes, whose texts are divided otherwise, are left with a
    warning.
    """
    extra_state = load_checkpoint(trainer, filename, *args, **kwargs)
    carried, states = of_trainer(trainer), (extra_state or {}).get(KEPT)
    if carried is None or states is None:
        return extra_state
    if isinstance(states, tuple):  # version 0.2.0 kept those of a single process alone
        states = [states]
    processes = trainer.data_parallel_world_size
    if len(states) != processes:
        logger.warning(
            "%s: carried tapes of %d processes, this training has %d; they start empty",
            filename,
            len(states),
            processes,
        )
    elif states[trainer.data_parallel_rank] is not None:
        carried.restore(states[trainer.data_parallel_rank], trainer.device)
    return extra_state


def of_trainer(trainer: Trainer) -> CarriedTapes | None:
    """The ``CarriedTapes`` of a trainer's model, None for others."""
    return of_model(trainer.get_model())


def of_model(model: Any) -> CarriedTapes | None:
    """The ``CarriedTapes`` of a model of any class, None for one without."""
    carried = getattr(getattr(model, "decoder", None), "carried", None)
    return carried if isinstance(carried, CarriedTapes) else None
