"""Writing checkpoints whole or not at all."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Concatenate, ParamSpec, TypeVar

import torch
from fairseq.file_io import PathManager

from fairseq_lstmn.checkpoints import State
from fairseq_lstmn.errors import InputError

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")


def save_whole(
    save: Callable[Concatenate[State, str, Rest], Result],
    obj: State,
    filename: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``torch_persistent_save``; raises InputError where the disk takes no more."""
    with whole(filename, part=f"{filename}.tmp"):
        return save(obj, filename, *args, **kwargs)


def save_once(save: Callable[[State, str], None], obj: State, f: str | BinaryIO) -> None:
    """fairseq's ``_torch_persistent_save`` without its second and third attempt.

    They write behind what the first has left. Nothing can read a file so made, and yet it is
    moved over the checkpoint before it.
    """
    return save(obj, f) if isinstance(f, str) else torch.save(obj, f)


def copy_whole(
    copy_file: Callable[[str, str, bool], Result],
    src_path: str,
    dst_path: str,
    overwrite: bool = False,
) -> Result:
    """fairseq's ``PathManager.copy``, beside the destination first and then moved there.

    It does so for what is to be overwritten; a remote store copies by itself.
    """
    if not (overwrite and PathManager.supports_rename(dst_path)):
        return copy_file(src_path, dst_path, overwrite)
    part = f"{dst_path}.part"
    with whole(dst_path, part):
        copied = copy_file(src_path, part, overwrite)
        os.replace(part, dst_path)
    return copied


def verify_folder(verify: Callable[[str], None], save_dir: str) -> None:
    """fairseq's ``verify_checkpoint_directory``; raises InputError for one it cannot write to."""
    try:
        return verify(save_dir)
    except OSError as error:
        raise InputError(f"--save-dir {save_dir}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def whole(path: str, part: str) -> Iterator[None]:
    """Remove ``part`` and raise InputError where writing it fails."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch hides the one behind the other
        failure = first_os_error(error)
        if failure is None:
            raise
        with contextlib.suppress(OSError):
            os.remove(part)
        raise InputError(
            f"{path}: cannot be written ({failure.strerror}); the checkpoints before it are whole"
        ) from error


def first_os_error(error: BaseException | None) -> OSError | None:
    """``error`` or the one during whose handling it came that is the system's; None if none is."""
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error
