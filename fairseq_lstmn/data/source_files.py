"""The files of a corpus as distributed, in a folder or in a zip archive, read line by line."""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from fairseq_lstmn.data.fetch import fetch
from fairseq_lstmn.errors import InputError

Openers = Mapping[PurePosixPath, Callable[[], IO[bytes]]]


class SourceFiles:
    """Files to be found by name in ``source``, as the user gave it; the least nested counts.

    ``openers`` has for each path in the source a function that opens its bytes, which are text in
    ``encoding``.
    """

    def __init__(self, source: str, openers: Openers, encoding: str = "utf-8") -> None:
        self.source, self._openers, self._encoding = source, openers, encoding

    def has(self, name: str) -> bool:
        """Whether there is a file called ``name``."""
        return bool(self._called(name))

    def numbered_lines(self, name: str) -> tuple[str, Iterator[tuple[int, str]]]:
        """Return the path of the file called ``name`` and an iterator of (number, line).

        Lines are those of ``lines_of``. Raises InputError, naming ``--from``, if there is no such
        file or no telling which.
        """
        found = self._called(name)
        if not found:
            raise InputError(f"--from {self.source}: has no {name}")
        if len(found) > 1:
            raise InputError(f"--from {self.source}: has both {found[0]} and {found[1]}")
        return f"{self.source}/{found[0]}", enumerate(self._lines(found[0]), 1)

    def _called(self, name: str) -> list[PurePosixPath]:
        paths = [path for path in self._openers if path.name == name]
        least = min((len(path.parts) for path in paths), default=0)
        return sorted(path for path in paths if len(path.parts) == least)

    def _lines(self, path: PurePosixPath) -> Iterator[str]:
        try:
            with self._openers[path]() as file:
                yield from lines_of(file, self._encoding)
        except UnicodeError as error:
            raise InputError(
                f"{self.source}/{path}: not {self._encoding} text ({error}); see --encoding"
            ) from None
        # zipfile raises RuntimeError for what is encrypted or compressed in a way it does not know
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self.source}/{path}: cannot be read ({error})") from None


def lines_of(file: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the lines of a file with their ends: line feeds or, where it has none, lone returns.

    Undecodable bytes are surrogates, as of Python's ``surrogateescape``; raises UnicodeError where
    ``encoding`` cannot say where such bytes end.
    """
    lines = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="\n")
    first = next(lines, "")
    yield from [first] if first.endswith("\n") else io.StringIO(first, newline="\r")
    yield from lines


@contextmanager
def opened(source: str, encoding: str = "utf-8") -> Iterator[SourceFiles]:
    """Yield the ``SourceFiles`` of a folder (and its folders) or of a zip, a path or an address."""
    if Path(source).is_dir():
        yield SourceFiles(source, _files_in(Path(source)), encoding)
        return
    content = io.BytesIO(fetch(source))
    try:
        archive = zipfile.ZipFile(content)
    except zipfile.BadZipFile as error:
        raise InputError(f"--from {source}: not a sound zip archive ({error})") from None
    with archive:
        yield SourceFiles(source, _members_of(archive), encoding)


def _files_in(folder: Path) -> Openers:
    paths = filter(Path.is_file, chain(folder.glob("*"), folder.glob("*/*")))
    return {
        PurePosixPath(path.relative_to(folder).as_posix()): partial(_open, path) for path in paths
    }


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _members_of(archive: zipfile.ZipFile) -> Openers:
    return {PurePosixPath(name): partial(archive.open, name) for name in archive.namelist()}
