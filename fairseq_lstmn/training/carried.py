"""Tapes that a language model carries from batch to batch, in its checkpoints.

They stand beside the training state, not in the model's, so that other programs load the model as
before, older checkpoints are loaded with empty tapes, and an evaluation starts with none. Each
process has tapes of its own; the one that writes gets those of all.
"""

import logging

import torch

from fairseq_lstmn.modules.language_decoder import CarriedTapes

logger = logging.getLogger(__name__)

KEPT = "carried_tapes"  # in a checkpoint's extra_state: by rank


def gather_tapes(save_checkpoint, settings, trainer, *args, **kwargs):
    """fairseq's ``checkpoint_utils.save_checkpoint``, called in every process before one writes."""
    carried = of_trainer(trainer)
    if carried is None or settings.no_save:
        return save_checkpoint(settings, trainer, *args, **kwargs)
    trainer.gathered_tapes = gathered(carried.state(), trainer)
    try:
        return save_checkpoint(settings, trainer, *args, **kwargs)
    finally:
        del trainer.gathered_tapes


def gathered(state, trainer):
    """``[state of each process]`` by rank."""
    processes = trainer.data_parallel_world_size
    if processes == 1:
        return [state]
    states = [None] * processes
    torch.distributed.all_gather_object(states, state, group=trainer.data_parallel_process_group)
    return states


def save_with_tapes(save_checkpoint, trainer, filename, extra_state):
    """fairseq's ``Trainer.save_checkpoint``, which a process in trouble calls alone."""
    tapes = getattr(trainer, "gathered_tapes", None)
    if tapes is not None:
        extra_state = {**extra_state, KEPT: tapes}
    return save_checkpoint(trainer, filename, extra_state)


def load_with_tapes(load_checkpoint, trainer, filename, *args, **kwargs):
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


def of_trainer(trainer):
    """The ``CarriedTapes`` of a trainer's model, None for others."""
    carried = getattr(getattr(trainer.get_model(), "decoder", None), "carried", None)
    return carried if isinstance(carried, CarriedTapes) else None
