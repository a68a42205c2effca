"""A new folder of data, text and its binary form for fairseq, made whole or not at all."""

import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq_lstmn.errors import InputError

SPLITS = ("train", "valid", "test")
# fairseq would take these words for its own marks: a <pad> in the text is never scored
RESERVED = frozenset(["<s>", "<pad>", "</s>"])


def add_dest(parser: ArgumentParser) -> None:
    """Add the option --dest, a Path, to an argparse parser."""
    parser.add_argument(
        "--dest", metavar="DIR", type=Path, required=True, help="new folder to make"
    )


def check_new(dest: Path) -> None:
    """Raise InputError, naming ``--dest``, if ``dest`` (a Path) exists already."""
    if os.path.lexists(dest):
        raise InputError(f"--dest {dest}: exists already; name a new folder")


@contextmanager
def made_whole(dest: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes ``dest`` (a Path) only when nothing went wrong.

    Raises InputError, naming ``--dest``, if it cannot be made.
    """
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        workplace = tempfile.TemporaryDirectory(prefix=f".{dest.name}-", dir=dest.parent)
    except OSError as error:
        raise InputError(f"--dest {dest}: cannot be written ({error.strerror})") from None
    with workplace:
        folder = Path(workplace.name, dest.name)
        folder.mkdir()
        yield folder
        folder.rename(dest)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write ``lines`` (strings without their ends) to ``path`` (a Path)."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def binarise(
    folder: Path,
    *options: str,
    suffix: str = "",
    into: str = "bin",
    splits: Iterable[str] = SPLITS,
) -> None:
    """Run fairseq-preprocess on folder/{train,valid,test}SUFFIX, or some, into folder/INTO.

    What it prints stands in preprocess.log there, and on standard error if it fails.
    """
    texts = [word for split in splits for word in (f"--{split}pref", f"{split}{suffix}")]
    # By default fairseq makes up words until their number is a multiple of 8.
    command = [*options, *texts, "--destdir", into, "--padding-factor", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "fairseq_cli.preprocess", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        done.check_returncode()
