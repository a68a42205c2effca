"""``fairseq.checkpoint_utils``: what is read, what is written, and whether it fits."""

import argparse
import copy
import functools
import logging
import os
import pickle
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.checkpoints import State, damage, dictionaries, misfit, writing
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import weights_in_checkpoint
from fairseq_lstmn.patches import fitting
from fairseq_lstmn.patches.registry import patch, setting
from fairseq_lstmn.training import carried, finite

logger = logging.getLogger(__name__)

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")

FULL_UNPICKLING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@setting
def allow_two_types() -> None:
    """Of fairseq's own types a checkpoint may hold those two that only carry data."""
    torch.serialization.add_safe_globals([argparse.Namespace, distributed_utils._TensorPlaceholder])


# fairseq calls both through the module; only one of its examples imports one by name
@patch(checkpoint_utils, "load_checkpoint_to_cpu")
def load_or_refuse(
    load: Callable[Concatenate[str, Rest], Result],
    path: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """Checkpoints may hold tensors, plain values and two types of fairseq's, nothing else.

    torch loads with ``weights_only=True``, which refuses the ``argparse.Namespace`` that
    fairseq stores for every model without a dataclass config (resume, validate, generate,
    eval-lm, EMA), and the placeholder it sends between processes on resume. Both only carry
    data, so both are allowed; a file that holds anything else is refused in one line. torch's
    own ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` lifts the restriction, with a warning. A file with a
    wrong bit, which torch loads with a wrong weight, is told by its checksums.
    """
    if _unpickles_everything():
        _warn_of_full_unpickling(path)
    try:
        with damage.checked_loading():
            return load(path, *args, **kwargs)
    except Exception as error:  # a damaged file can end in any of them
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and forbidden:
            raise InputError(
                f"{path}: refused, because it holds {forbidden[1]}, not only tensors and plain"
                f" values, and so could run code; if you trust it, set {FULL_UNPICKLING}=1"
            ) from error
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 120)
        raise damage.DamagedCheckpoint(
            f"{path}: cannot be read as a fairseq checkpoint ({reason})"
        ) from error


@patch(checkpoint_utils, "load_ema_from_checkpoint")
def load_ema_or_refuse(load: Callable[[str], Result], fpath: str) -> Result:
    """``load_or_refuse`` for averaged weights."""
    return load_or_refuse(load, fpath)


def _unpickles_everything() -> bool:
    return os.getenv(FULL_UNPICKLING, "").lower() in ("1", "y", "yes", "true")  # torch's rule


@functools.cache  # once for each file
def _warn_of_full_unpickling(path: str) -> None:
    logger.warning(
        "%s: unpickled in full, which runs any code hidden in it; do this only with files you"
        " trust (%s=%s)",
        path,
        FULL_UNPICKLING,
        os.getenv(FULL_UNPICKLING, ""),
    )


# inside load_or_refuse, which tells what it cannot read as damage
patch(checkpoint_utils, "load_checkpoint_to_cpu")(dictionaries.hand_record_to_trainer)


@patch(checkpoint_utils, "load_model_ensemble_and_task")
def load_one_by_one(
    load: Callable[..., tuple[list[BaseFairseqModel], Any, FairseqTask]],
    filenames: Iterable[str],
    arg_overrides: dict[str, Any] | None = None,
    task: FairseqTask | None = None,
    *args: object,
    **kwargs: object,
) -> tuple[list[BaseFairseqModel], Any, FairseqTask | None]:
    """A checkpoint of another size than the data's dictionaries ask for is named in one line.

    Every fairseq ends in a list of all such tensors, and of an ensemble names no file. One whose
    weights are no numbers is named as well, where fairseq answers nonsense.
    """
    ensemble, cfg = [], None
    for filename in filenames:
        try:
            with weights_in_checkpoint():
                models, cfg, task = load([filename], arg_overrides, task, *args, **kwargs)
        except dictionaries.OtherWords as error:
            raise InputError(f"{filename}: {error}") from error
        except RuntimeError as error:
            sizes = misfit.sizes(error)
            if sizes is None:
                raise
            weight, held, needed = sizes
            raise InputError(
                f"{filename}: {weight} is ({held}), but with the dictionaries of this data it is"
                f" ({needed})"
            ) from error
        for model in models:
            finite.check_weights(model, filename)
        ensemble += models
    return ensemble, cfg, task


patch(checkpoint_utils, "load_checkpoint")(fitting.load_or_begin)

# A run that is killed while it saves, or finds the disk full, can be started again.
#
# Every fairseq writes the first checkpoint of a save beside its place and moves it there, but
# copies it byte by byte to the others, ``checkpoint_last.pt`` among them, which a kill leaves
# half-written. Where writing fails it tries again behind what it has written, and moves a file
# that nothing can read over the checkpoint before.
patch(checkpoint_utils, "verify_checkpoint_directory")(writing.verify_folder)
patch(checkpoint_utils, "torch_persistent_save")(writing.save_whole)
patch(checkpoint_utils, "_torch_persistent_save")(writing.save_once)


@patch(checkpoint_utils, "torch_persistent_save")
def save_without_numpy(
    save: Callable[Concatenate[State, Rest], Result],
    obj: State,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
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


# no score that is NaN chooses a checkpoint, and every process gathers its tapes before one writes
patch(checkpoint_utils, "save_checkpoint")(finite.choose_by_numbers)
patch(checkpoint_utils, "save_checkpoint")(carried.gather_tapes)
