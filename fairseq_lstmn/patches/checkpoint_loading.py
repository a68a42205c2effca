"""``fairseq.checkpoint_utils``: what is loaded, whether it is sound and whether it fits."""

import argparse
import functools
import logging
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils
from fairseq.models import BaseFairseqModel
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.data import dictionaries
from fairseq_lstmn.data.dictionaries import State
from fairseq_lstmn.errors import InputError, shortened
from fairseq_lstmn.modules.embeddings import weights_in_checkpoint
from fairseq_lstmn.patches.non_finite import check_weights
from fairseq_lstmn.patches.registry import Original, patch, setting

logger = logging.getLogger(__name__)

FULL_UNPICKLING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
ZIP = b"PK\x03\x04"  # how torch tells its archives from its older formats, which have no sums
SIZES = re.compile(r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)")


class DamagedCheckpoint(InputError):
    """A file that cannot be read as a checkpoint; the message is one line naming it."""


@setting
def allow_two_types() -> None:
    """Of fairseq's own types a checkpoint may hold those two that only carry data."""
    torch.serialization.add_safe_globals([argparse.Namespace, distributed_utils._TensorPlaceholder])


# fairseq calls both through the module; only one of its examples imports one by name
@patch(checkpoint_utils, "load_checkpoint_to_cpu")
def load_or_refuse(load: Original, path: str, *args: Any, **kwargs: Any) -> Any:
    """Checkpoints may hold tensors, plain values and two types of fairseq's, nothing else.

    torch loads with ``weights_only=True``, which refuses the ``argparse.Namespace`` that
    fairseq stores for every model without a dataclass config (resume, validate, generate,
    eval-lm, EMA), and the placeholder it sends between processes on resume. Both only carry
    data, so both are allowed; a file that holds anything else is refused in one line. torch's
    own ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` lifts the restriction, with a warning. A file with a
    wrong bit, which torch loads with a wrong weight, is told by its checksums.
    """
    if os.getenv(FULL_UNPICKLING, "").lower() in ("1", "y", "yes", "true"):  # torch's rule
        warn_of_full_unpickling(path)
    try:
        with checked_loading():
            return load(path, *args, **kwargs)
    except Exception as error:  # a damaged file can end in any of them
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and forbidden:
            raise InputError(
                f"{path}: refused, because it holds {forbidden[1]}, not only tensors and plain"
                f" values, and so could run code; if you trust it, set {FULL_UNPICKLING}=1"
            ) from error
        raise DamagedCheckpoint(
            f"{path}: cannot be read as a fairseq checkpoint ({shortened(error)})"
        ) from error


@patch(checkpoint_utils, "load_ema_from_checkpoint")
def load_ema_or_refuse(load: Original, fpath: str) -> Any:
    """``load_or_refuse`` for averaged weights."""
    return load_or_refuse(load, fpath)


@functools.cache  # once for each file
def warn_of_full_unpickling(path: str) -> None:
    logger.warning(
        "%s: unpickled in full, which runs any code hidden in it; do this only with files you"
        " trust (%s=%s)",
        path,
        FULL_UNPICKLING,
        os.getenv(FULL_UNPICKLING, ""),
    )


@contextmanager
def checked_loading() -> Iterator[None]:
    """Within the block ``torch.load`` checks the sums of each open file that it is handed.

    Only there is the file known: it may come from any storage, by a copy that is fetched anew.
    Raises zipfile.BadZipFile for a file whose sums are wrong.
    """
    load = torch.load

    def checked(f: Any, *args: Any, **kwargs: Any) -> Any:
        check_sums(f)
        return load(f, *args, **kwargs)

    torch.load = checked
    try:
        yield
    finally:
        torch.load = load


def check_sums(file: IO[bytes]) -> None:
    """Read an open file once and compare its checksums, if it is an archive; go back to its start.

    torch writes a CRC-32 of every tensor and never looks at it: most files with one wrong bit
    load, with a wrong weight. Raises zipfile.BadZipFile for such a file.
    """
    if file.read(len(ZIP)) == ZIP:
        with zipfile.ZipFile(file) as archive:
            wrong = archive.testzip()
        if wrong is not None:
            raise zipfile.BadZipFile(f"the checksum of {wrong} is wrong")
    file.seek(0)


@patch(checkpoint_utils, "load_checkpoint_to_cpu")
def hand_dictionaries_to_trainer(load: Original, *args: Any, **kwargs: Any) -> State:
    """Put the dictionaries' sums into the extra state too.

    That is all that a trainer hands back of a checkpoint's state, in every process. Inside
    ``load_or_refuse``, which tells what cannot be read as damage.
    """
    state: State = load(*args, **kwargs)
    recorded = dictionaries.recorded(state)
    if recorded and "extra_state" in state:  # which some leave out, to share models
        state["extra_state"] = {**state["extra_state"], dictionaries.RECORDED: recorded}
    return state


@patch(checkpoint_utils, "load_model_ensemble_and_task")
def load_one_by_one(
    load: Original,
    filenames: Iterable[str],
    arg_overrides: dict[str, Any] | None = None,
    task: FairseqTask | None = None,
    *args: Any,
    **kwargs: Any,
) -> tuple[list[BaseFairseqModel], Any, FairseqTask | None]:
    """A checkpoint of another size than the data's dictionaries ask for is named in one line.

    fairseq lists all such tensors, and of an ensemble names no file. One whose weights are
    non-finite is named as well, where fairseq answers nonsense.
    """
    ensemble, cfg = [], None
    for filename in filenames:
        try:
            with weights_in_checkpoint():
                models, cfg, task = load([filename], arg_overrides, task, *args, **kwargs)
        except dictionaries.OtherWords as error:
            raise InputError(f"{filename}: {error}") from error
        except RuntimeError as error:
            sizes = misfit(error)
            if sizes is None:
                raise
            weight, held, needed = sizes
            raise InputError(
                f"{filename}: {weight} is ({held}), but with the dictionaries of this data it is"
                f" ({needed})"
            ) from error
        for model in models:
            check_weights(model, filename)
        ensemble += models
    return ensemble, cfg, task


def misfit(error: BaseException) -> tuple[str, str, str] | None:
    """A weight's name, its size and the size that the model has, from torch's own ``error``.

    None where it does not speak of sizes.
    """
    mismatch = SIZES.search(str(error))
    return (mismatch[1], mismatch[2], mismatch[3]) if mismatch else None


@patch(checkpoint_utils, "load_checkpoint")
def name_model_to_finetune(load: Original, *args: Any, **kwargs: Any) -> Any:
    """Raise InputError for a ``--finetune-from-model`` that does not exist.

    And for one beside options that contradict it.
    """
    try:
        return load(*args, **kwargs)
    except ValueError as error:
        if isinstance(error, InputError) or not str(error).startswith("--finetune-from-model"):
            raise
        raise InputError(str(error).partition(": ")[0]) from error  # all settings may follow
