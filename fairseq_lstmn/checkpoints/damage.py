"""Whether a checkpoint's bytes are those that were written."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import torch

from fairseq_lstmn.errors import InputError

_ZIP = b"PK\x03\x04"  # how torch tells its archives from its older formats, which have no sums


class DamagedCheckpoint(InputError):
    """A file that cannot be read as a checkpoint; the message is one line naming it."""


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
    if file.read(len(_ZIP)) == _ZIP:
        with zipfile.ZipFile(file) as archive:
            wrong = archive.testzip()
        if wrong is not None:
            raise zipfile.BadZipFile(f"the checksum of {wrong} is wrong")
    file.seek(0)
