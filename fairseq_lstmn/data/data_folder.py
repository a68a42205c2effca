"""A new folder of data, text and its binary form for fairseq, written whole or not at all.

Beside the data stands how their text was normalised, so that it can be done again to new text.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fairseq_lstmn.errors import InputError

SPLITS = ("train", "valid", "test")
# fairseq would take these words for its own marks: a <pad> in the text is never scored
RESERVED = frozenset(["<s>", "<pad>", "</s>"])
NORMALISATION = "normalisation.json"
SPACES = "single"


def add_dest(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--dest", metavar="DIR", type=Path, required=True, help="new folder to make"
    )


def check_new(dest: Path) -> None:
    """Raise InputError, naming ``--dest``, if ``dest`` exists already."""
    if os.path.lexists(dest):
        raise InputError(f"--dest {dest}: exists already; name a new folder")


@contextmanager
def atomic_folder(dest: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes ``dest`` only when nothing went wrong.

    Raises InputError, naming ``--dest``, if it cannot be written.
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
    """Write ``lines``, strings without their ends."""
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

    Raises CalledProcessError then.
    """
    import fairseq_cli.preprocess  # noqa: F401 # for the fork: it takes longer than all the rest

    texts = [word for split in splits for word in (f"--{split}pref", f"{split}{suffix}")]
    # By default fairseq makes up words until their number is a multiple of 8.
    command = [*options, *texts, "--destdir", into, "--padding-factor", "1"]
    with tempfile.TemporaryFile() as printed:
        arguments = folder, command, printed.fileno()
        process = multiprocessing.get_context("fork").Process(target=_preprocess, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            printed.seek(0)
            sys.stderr.write(printed.read().decode(errors="replace"))
            raise subprocess.CalledProcessError(process.exitcode, ["fairseq-preprocess", *command])


def _preprocess(folder: Path, command: list[str], output: int) -> None:
    """fairseq-preprocess in ``folder``, which prints into the file of the descriptor ``output``."""
    from fairseq_cli import preprocess

    for descriptor in 1, 2:
        os.dup2(output, descriptor)
    sys.stdout, sys.stderr = (open(descriptor, "w", closefd=False) for descriptor in (1, 2))
    os.chdir(folder)
    sys.argv = ["fairseq-preprocess", *command]
    preprocess.cli_main()


class Normalisation(NamedTuple):
    """What is done to a sentence: its letters' case, and one space between words."""

    lower_case: bool

    def __call__(self, sentence: str) -> str:
        """The sentence as a model is to read it; the number of its words stays."""
        return " ".join((sentence.lower() if self.lower_case else sentence).split())

    def write(self, folder: Path) -> None:
        """Say so in a folder of prepared data."""
        entries = {"case": "lower" if self.lower_case else "kept", "spaces": SPACES}
        (folder / NORMALISATION).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def of_data(data: str | None) -> "Normalisation | None":
        """The one that stands in the folder ``data``, of fairseq's option, or None.

        Raises InputError for a file that cannot be read.
        """
        from fairseq import utils  # here: `prepare` needs no fairseq to say what it does

        path = data and Path(utils.split_paths(data)[0], NORMALISATION)
        if not path or not path.exists():
            return None
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            case, spaces = entries["case"], entries["spaces"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from None
        if case not in ("lower", "kept") or spaces != SPACES:
            raise InputError(f"{path}: case {case!r:.20} and spaces {spaces!r:.20} are not known")
        return Normalisation(case == "lower")
