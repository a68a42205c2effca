"""``fairseq.checkpoint_utils`` and ``fairseq.file_io``: checkpoints are saved whole or not at all.

A run that is killed while it saves, or finds the disk full, can be started again. fairseq writes
the first checkpoint of a save beside its place and moves it there, but copies it byte by byte to
the others, ``checkpoint_last.pt`` among them, which a kill leaves half-written. Where writing fails
it tries again behind what it has written, and moves a file that nothing can read over the
checkpoint before.
"""

import contextlib
import copy
import logging
import math
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.data.iterators import EpochBatchIterator
from fairseq.dataclass.configs import CheckpointConfig
from fairseq.file_io import PathManager
from fairseq.trainer import Trainer

from fairseq_lstmn.data.dictionaries import State
from fairseq_lstmn.errors import InputError, causes
from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.patches.registry import Original, patch

logger = logging.getLogger(__name__)


@patch(checkpoint_utils, "verify_checkpoint_directory")
def verify_folder(verify: Original, save_dir: str) -> None:
    """Raise InputError for a folder that cannot be written to."""
    try:
        verify(save_dir)
    except OSError as error:
        raise InputError(f"--save-dir {save_dir}: cannot be written ({error.strerror})") from error


@patch(checkpoint_utils, "torch_persistent_save")
def save_whole(save: Original, obj: State, filename: str, *args: Any, **kwargs: Any) -> Any:
    """Raise InputError where the disk takes no more."""
    with whole(filename, part=f"{filename}.tmp"):
        return save(obj, filename, *args, **kwargs)


@patch(checkpoint_utils, "torch_persistent_save")
def save_without_numpy(save: Original, obj: State, *args: Any, **kwargs: Any) -> Any:
    """What fairseq saves can be loaded again under ``weights_only=True``.

    It stores numpy arrays under ``--eval-bleu`` and numpy scalars under
    ``--best-checkpoint-metric pearson``, which torch refuses on resume. They are saved as
    tensors and Python numbers, which its meters take as well; allowing numpy's types on loading
    would let a file reach numpy's own unpickling.
    """
    return save(without_numpy(obj), *args, **kwargs)


def without_numpy(value: Any) -> Any:
    """``value``, numpy's arrays in it as tensors and its scalars as Python's numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    if isinstance(value, dict):
        plain = copy.copy(value)  # keeps the attributes of a model's state_dict
        for key, entry in value.items():  # update() of a Counter adds up
            plain[key] = without_numpy(entry)
        return plain
    if type(value) in (list, tuple):
        return type(value)(map(without_numpy, value))
    return value


@patch(checkpoint_utils, "_torch_persistent_save")
def save_once(save: Original, obj: State, f: str | BinaryIO) -> Any:
    """Leave out fairseq's second and third attempt, which write behind the first one's remains."""
    return save(obj, f) if isinstance(f, str) else torch.save(obj, f)


@patch(PathManager, "copy")
def copy_whole(copy_file: Original, src_path: str, dst_path: str, overwrite: bool = False) -> Any:
    """Copy beside a destination that is to be overwritten, then move the copy there.

    A remote store copies by itself.
    """
    if not (overwrite and PathManager.supports_rename(dst_path)):
        return copy_file(src_path, dst_path, overwrite)
    part = f"{dst_path}.part"
    with whole(dst_path, part):
        copied = copy_file(src_path, part, overwrite)
        os.replace(part, dst_path)
    return copied


@contextlib.contextmanager
def whole(path: str, part: str) -> Iterator[None]:
    """Remove ``part`` and raise InputError where writing it fails."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch hides the one behind the other
        failure = next((cause for cause in causes(error) if isinstance(cause, OSError)), None)
        if failure is None:
            raise
        with contextlib.suppress(OSError):
            os.remove(part)
        raise InputError(
            f"{path}: cannot be written ({failure.strerror}); the checkpoints before it are whole"
        ) from error


@patch(checkpoint_utils, "save_checkpoint")
def choose_by_finite_score(
    save_checkpoint: Original,
    cfg: CheckpointConfig,
    trainer: Trainer,
    epoch_itr: EpochBatchIterator,
    val_loss: float | None,
) -> Any:
    """No score that is NaN, as a correlation with answers all the same, chooses a checkpoint.

    fairseq would take no later one for the best.
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


@patch(checkpoint_utils, "save_checkpoint")
def gather_tapes(
    save_checkpoint: Original, cfg: CheckpointConfig, trainer: Any, *args: Any, **kwargs: Any
) -> Any:
    """Every process gathers the carried tapes of all before one writes them, by rank."""
    carried = CarriedTapes.of(trainer.get_model())
    if carried is None or cfg.no_save:
        return save_checkpoint(cfg, trainer, *args, **kwargs)
    states = trainer.gathered_tapes = [carried.state()] * trainer.data_parallel_world_size
    if len(states) > 1:
        group = trainer.data_parallel_process_group
        torch.distributed.all_gather_object(states, states[0], group=group)
    try:
        return save_checkpoint(cfg, trainer, *args, **kwargs)
    finally:
        del trainer.gathered_tapes
