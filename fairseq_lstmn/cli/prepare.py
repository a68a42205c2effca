"""Turn a labelled corpus into the data of fairseq's task sentence_prediction.

DEST gets {train,valid,test}.tsv, the rows that are used (label TAB sentence [TAB sentence]), and
their binary form: input0, for pairs input1, and label. Sentences are tokenised and lower-cased,
which normalisation.json records for `predict` and `attention`; pairs share one dictionary; labels
are numbered in alphabetical order.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections import Counter

from fairseq_lstmn.data.corpora import CORPORA, SST_BINARY, Corpus
from fairseq_lstmn.data.data_folder import add_dest, atomic_folder, check_new
from fairseq_lstmn.data.labelled_rows import NULL, UNDECODABLE, LabelledRows, write_rows
from fairseq_lstmn.data.source_files import opened
from fairseq_lstmn.errors import InputError

LISTED = 20  # bad rows, before the rest is a number


def add_arguments(parser: ArgumentParser) -> None:
    corpora = parser.add_subparsers(metavar="CORPUS", required=True)
    for name, corpus in CORPORA.items():
        command = corpora.add_parser(name, help=corpus.what, description=f"{corpus.what}.")
        command.set_defaults(corpus=corpus)
        add_options(command, corpus)
        if name == "sst":
            command.add_argument(
                "--binary",
                dest="corpus",
                action="store_const",
                const=SST_BINARY,
                help="negative 0 and positive 1, without the neutral sentences",
            )


def add_options(command: ArgumentParser, corpus: Corpus) -> None:
    add_dest(command)
    command.add_argument(
        "--from",
        dest="source",
        metavar="DIR_OR_ZIP",
        default=corpus.address,
        required=corpus.address is None,
        help=f"folder or zip archive, a path or an address, with {corpus.files}"
        + ("" if corpus.address is None else " (default: %(default)s)"),
    )
    command.add_argument(
        "--skip-bad-rows", action="store_true", help="count rows that cannot be read and go on"
    )
    command.add_argument(
        "--threshold",
        metavar="N",
        type=int,
        default=1,
        help="words rarer than N in training become <unk> (default: %(default)s)",
    )
    command.add_argument("--keep-case", action="store_true", help="do not lower-case")
    command.add_argument(
        "--encoding",
        metavar="NAME",
        default="utf-8",
        help="of the files, such as latin-1, cp1252 or utf-16 (default: %(default)s)",
    )
    for name, what in corpus.flags:
        command.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=what)


def run(args: Namespace) -> int:
    check_new(args.dest)
    if args.threshold < 1:
        raise InputError(f"--threshold {args.threshold}: must be 1 or more")
    check_encoding(args.encoding)
    rows = read(args)
    with atomic_folder(args.dest) as folder:
        write_rows(folder, rows.splits, rows.labels, args.threshold)
        rows.normalisation.write(folder)
    report(rows)
    print(f"ready for fairseq: {args.dest}")
    return 0


def check_encoding(name: str) -> None:
    try:
        "".encode(name)
    except (LookupError, UnicodeError):
        raise InputError(f"--encoding {name}: unknown, or none of text") from None


def read(args: Namespace) -> LabelledRows:
    """The corpus's rows, some in every split; raises InputError for bad ones."""
    rows = LabelledRows(args.corpus.labels, args.keep_case)
    flags = {flag: getattr(args, flag) for flag, _ in args.corpus.flags}
    with opened(args.source, args.encoding) as files:
        for table in args.corpus.tables(files, **flags):
            rows.read(table)
    if rows.bad and not args.skip_bad_rows:
        list_bad(rows.bad)
        remedies = "correct them or give --skip-bad-rows"
        if {UNDECODABLE, NULL} & {reason for _, reason in rows.bad}:
            remedies += f", or the --encoding that they are in (now {args.encoding})"
        raise InputError(f"--from {args.source}: bad rows: {len(rows.bad)}; {remedies}")
    for split, of_split in rows.splits.items():
        if not of_split:
            raise InputError(f"--from {args.source}: has no row to use for {split}")
    return rows


def list_bad(bad: list[tuple[str, str]]) -> None:
    for line, _ in bad[:LISTED]:
        print(line, file=sys.stderr)
    if len(bad) > LISTED:
        print(f"... and {len(bad) - LISTED} more", file=sys.stderr)


def report(rows: LabelledRows) -> None:
    for split, of_split in rows.splits.items():
        longest = max(row.tokens for row in of_split)
        print(f"{split}: {len(of_split):,} rows, the longest of {longest:,} tokens")
    for reason, count in rows.left_out.items():
        print(f"left out: {count:,} rows, {reason}")
    for reason, count in Counter(reason for _, reason in rows.bad).items():
        print(f"skipped: {count:,} bad rows, {reason}")
    for note in rows.notes:
        print(note)
    labels = " ".join(sorted(rows.labels))
    print(f"labels, numbered from 0 (--num-classes {len(rows.labels)}): {labels}")
