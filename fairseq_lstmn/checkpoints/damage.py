"""Whether a checkpoint's bytes are those that were written."""

import zipfile

from fairseq_lstmn.errors import InputError

_ZIP = b"PK\x03\x04"  # how torch tells its archives from its older formats, which have no sums


class DamagedCheckpoint(InputError):
    """A file that cannot be read as a checkpoint; the message is one line naming it."""


def check_sums(path: str) -> None:
    """Read the file at ``path`` once and compare its checksums, if it is an archive.

    torch writes a CRC-32 of every tensor and never looks at it: most files with one wrong bit
    load, with a wrong weight. Raises zipfile.BadZipFile for such a file.
    """
    with open(path, "rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return
        with zipfile.ZipFile(file) as archive:
            wrong = archive.testzip()
    if wrong is not None:
        raise zipfile.BadZipFile(f"the checksum of {wrong} is wrong")
