"""Files that a user names by a path or an address: of a corpus, in a folder or a zip archive."""

import http.client
import io
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from fairseq_lstmn.errors import InputError

Openers = Mapping[PurePosixPath, Callable[[], IO[bytes]]]


def fetch(address: str) -> bytes:
    """The bytes at ``address``, a path or URL; raises InputError, naming ``--from``."""
    if "://" not in address:
        return read_bytes(Path(address))
    print(f"downloading {address}", flush=True)
    # The host of WikiText-2 turns away Python's default user agent.
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            content: bytes = reply.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        raise InputError(f"--from {address}: cannot be downloaded ({error})") from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; raises InputError, naming it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


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
        """The path of the file called ``name`` and an iterator of (number, line).

        Lines are those of ``lines_of``. Raises InputError, naming ``--from``, if there is no such
        file or no telling which.
        """
        paths = self._called(name)
        if not paths:
            raise InputError(f"--from {self.source}: has no {name}")
        if len(paths) > 1:
            raise InputError(f"--from {self.source}: has both {paths[0]} and {paths[1]}")
        return f"{self.source}/{paths[0]}", enumerate(self._lines(paths[0]), 1)

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
        members = {PurePosixPath(name): partial(archive.open, name) for name in archive.namelist()}
        yield SourceFiles(source, members, encoding)


def _files_in(folder: Path) -> Openers:
    paths = filter(Path.is_file, chain(folder.glob("*"), folder.glob("*/*")))
    return {
        PurePosixPath(path.relative_to(folder).as_posix()): partial(_open, path) for path in paths
    }


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")
