"""Show what a trained model attends while it reads.

Reads lines of a file, of standard input or of --text, tokenised as the training text was: a
sentence; for a model of pairs premise TAB hypothesis; for a translation model a source, which it
translates, or source TAB target. What `prepare` did to the training text, such as the case of
letters, is done to them. DEST gets attention.html, a page to look at that needs nothing else, and
attention.json with all numbers; --summary says what is attended on the whole.
"""

from __future__ import annotations

import io
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_lstmn.data.data_folder import add_dest, atomic_folder, check_new
from fairseq_lstmn.errors import InputError

if TYPE_CHECKING:  # see run
    from fairseq_lstmn.attend.reading import Reading
    from fairseq_lstmn.attend.record import Output
    from fairseq_lstmn.inference.checkpoint import TrainedModel

FORMATS = ("html", "json", "png", "svg")
LIMIT = 50


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="of a model with tapes, or with attention to a source")
    parser.add_argument("input", nargs="?", help="file (default: standard input)")
    add_dest(parser)
    parser.add_argument("--text", metavar="LINE", help="a line to read, for INPUT")
    parser.add_argument(
        "--data", metavar="DIR", help="where its dictionaries are now (default: as in training)"
    )
    parser.add_argument("--layer", metavar="N", type=int, help="this layer only, from 1")
    parser.add_argument(
        "--format",
        metavar="LIST",
        help=f"of {','.join(FORMATS)} (default: html,json; with --summary all but html)",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=int,
        default=LIMIT,
        help="draw no more than N lines; the JSON has all (default: %(default)s)",
    )
    parser.add_argument("--summary", action="store_true", help="what is attended on the whole")
    parser.add_argument(
        "--beam", metavar="N", type=int, default=5, help="of translations (default: %(default)s)"
    )
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def run(args: Namespace) -> int:
    check_new(args.dest)
    formats = check(args)
    # here, so that `fairseq-lstmn doctor` can say that torch or fairseq is broken
    from fairseq_lstmn.attend.readers import reader, readings
    from fairseq_lstmn.inference.checkpoint import load
    from fairseq_lstmn.inference.lines import open_lines

    text = None if args.text is None else args.text.encode("utf-8", "surrogateescape")
    with open_lines(args.input or "-") if text is None else io.BytesIO(text) as lines:
        reads = reader(load(args.checkpoint, args.data, args.cpu), args.beam)
        with atomic_folder(args.dest) as folder:
            outputs = open_outputs(folder, reads.trained, formats, args.summary, args.limit)
            failed = write(readings(reads, lines, args.layer), outputs)
    for line in {output.left_out for output in outputs}:
        report(line)
    report(reads.lines.unknown.warning(args.checkpoint))
    print(f"ready: {args.dest}")
    return 1 if failed else 0


def check(args: Namespace) -> set[str]:
    """The formats asked for. Raises InputError for options out of range."""
    for name, least in (("layer", 1), ("limit", 1), ("beam", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value}: must be {least} or more")
    if args.text is not None and args.input is not None:
        raise InputError(f"--text {args.text}: not together with INPUT {args.input}")
    formats = args.format or ("json,png,svg" if args.summary else "html,json")
    allowed = [name for name in FORMATS if not (args.summary and name == "html")]
    for name in formats.split(","):
        if name not in allowed:
            raise InputError(f"--format {formats}: must be of {','.join(allowed)}")
    return set(formats.split(","))


def open_outputs(
    folder: Path, trained: TrainedModel, formats: set[str], summary: bool, limit: int
) -> list[Output]:
    """What writes the files of ``formats`` into ``folder``, of ``limit`` lines at most."""
    from fairseq_lstmn.attend.figures import Figures
    from fairseq_lstmn.attend.page import Page
    from fairseq_lstmn.attend.record import Record
    from fairseq_lstmn.attend.summary import Summary

    about = {
        "made by": "fairseq-lstmn attention",
        "checkpoint": str(trained.path),
        "model": type(trained.model).__name__,
    }
    if summary:
        return [Summary(folder, about, formats)]
    outputs: list[Output] = []
    if "json" in formats:
        outputs.append(Record(folder, about))
    if "html" in formats:
        outputs.append(Page(folder, about, limit))
    if pictures := formats & {"png", "svg"}:
        outputs.append(Figures(folder, pictures, limit))
    return outputs


def write(readings: Iterable[Reading], outputs: Sequence[Output]) -> bool:
    """Add the readings to every output; whether some line could not be read."""
    failed = False
    for reading in readings:
        if reading.error is not None:
            failed = True
            report(f"line {reading.line}: {reading.error}")
        for output in outputs:
            output.add(reading)
    for output in outputs:
        output.close()
    return failed


def report(line: str | None) -> None:
    """Print a line on standard error, if there is one."""
    if line is not None:
        print(line, file=sys.stderr)
