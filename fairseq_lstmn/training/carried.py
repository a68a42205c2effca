"""Tapes that a language model carries from batch to batch, in its checkpoints.

They stand beside the training state, not in the model's, so that other programs load the model as
before, older checkpoints are loaded with empty tapes, and an evaluation starts with none. Of
several processes each has tapes of its own and only one writes: none are kept then.
"""

from fairseq_lstmn.modules.language_decoder import CarriedTapes

KEPT = "carried_tapes"  # in a checkpoint's extra_state


def save_with_tapes(save_checkpoint, trainer, filename, extra_state):
    """fairseq's ``Trainer.save_checkpoint``."""
    carried = of_trainer(trainer)
    state = carried and carried.state()
    if state is not None:
        extra_state = {**extra_state, KEPT: state}
    return save_checkpoint(trainer, filename, extra_state)


def load_with_tapes(load_checkpoint, trainer, *args, **kwargs):
    """fairseq's ``Trainer.load_checkpoint``."""
    extra_state = load_checkpoint(trainer, *args, **kwargs)
    carried = of_trainer(trainer)
    if carried and extra_state and KEPT in extra_state:
        carried.restore(extra_state[KEPT], trainer.device)
    return extra_state


def of_trainer(trainer):
    """The ``CarriedTapes`` of a single process's model, None for others."""
    carried = getattr(getattr(trainer.get_model(), "decoder", None), "carried", None)
    alone = trainer.data_parallel_world_size == 1
    return carried if alone and isinstance(carried, CarriedTapes) else None
