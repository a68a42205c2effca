"""``fairseq.trainer``: what a training reads, resumes from and stops at."""

from collections.abc import Callable
from typing import Any, TypeVar

from fairseq.trainer import Trainer

from fairseq_lstmn.checkpoints import dictionaries, resume
from fairseq_lstmn.modules.embeddings import WordEmbedding
from fairseq_lstmn.patches import fitting
from fairseq_lstmn.patches.registry import patch
from fairseq_lstmn.training import carried, finite

Result = TypeVar("Result")

# A run that is resumed in the middle of an epoch goes on reading with the tapes it had.
#
# Every fairseq keeps parameters and buffers only.
patch(Trainer, "load_checkpoint")(carried.load_with_tapes)
patch(Trainer, "save_checkpoint")(carried.save_with_tapes)
# A run whose ``checkpoint_last.pt`` is damaged goes on from the newest sound checkpoint.
#
# Every fairseq ends with a traceback.
patch(Trainer, "load_checkpoint")(resume.load_or_go_back)
# A checkpoint of another model, criterion, optimizer or dictionary is named in one line.
patch(Trainer, "load_checkpoint")(fitting.load_weights)
patch(Trainer, "load_checkpoint")(dictionaries.resume_with_same_dictionaries)


@patch(Trainer, "train_step")
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


# Training ends by naming the update and what is NaN or infinite: a parameter, a loss.
#
# Every fairseq ends with a traceback where a gradient is, goes on where only the loss is, and
# takes no later checkpoint for the best after a score that was NaN.
patch(Trainer, "train_step")(finite.train_on_numbers)
patch(Trainer, "get_valid_iterator")(finite.remember_subset)
patch(Trainer, "valid_step")(finite.validate_on_numbers)


@patch(Trainer, "begin_epoch")
def begin_epoch(
    begin_epoch: Callable[[Trainer, int], Result], trainer: Trainer, epoch: int
) -> Result:
    """This package's models hear which epoch begins, also on a resume in the middle of one.

    fairseq-fixed defines ``BaseFairseqModel.set_epoch`` and never calls it, fairseq has none.
    """
    for module in trainer.get_model().modules():
        if isinstance(module, WordEmbedding):
            module.set_epoch(epoch)
    return begin_epoch(trainer, epoch)
