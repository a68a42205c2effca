"""Turn the library that every CPython carries into text whose names only memory can tell.

    python examples/source_code/prepare.py --dest data/source_code [--names 60] [--shards 4]

Comments and docstrings go, strings and numbers become classes, and keywords, operators, builtins
and frequent attributes stay. Every other identifier gets another name in every file, one of v0,
v1, ..., so that nothing but the file itself tells how it is called. A file is a line, and several
if it has more identifiers than there are names.

DEST gets shard1, shard2, ..., each with train.txt and its binary form in ``bin``; shard1 has
valid.txt and test.txt too. The shards are cut one after the other from the training files, which
come round without end, with new names every time.
"""

import argparse
import sysconfig
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from pathlib import Path

from library import CLASSES, KEPT_NUMBERS, Lines, modules
from renaming import LANGUAGE, Renaming, frequent_attributes

from fairseq_lstmn.data.data_folder import add_dest, atomic_folder, binarise, check_new, write_lines
from fairseq_lstmn.errors import InputError


def dictionary(renaming: Renaming) -> list[str]:
    """The lines of fairseq's dict.txt: every word that there can be."""
    fixed = {*CLASSES.values(), *KEPT_NUMBERS, *tokenize.EXACT_TOKEN_TYPES, *renaming.kept}
    return [f"{word} 1" for word in [*sorted(fixed), *renaming.names]]


def renamed(files: Mapping[str, Lines], renaming: Renaming, draw: int) -> Iterator[list[str]]:
    """Yield ``files``, {path: logical lines}, as lists of words."""
    for path, lines in files.items():
        yield from renaming.files(path, lines, draw)


def size(texts: Iterable[list[str]]) -> int:
    """The number of words in lists of words, with an end each."""
    return sum(len(text) + 1 for text in texts)


def taken(texts: Iterator[list[str]], words: int) -> Iterator[list[str]]:
    """Yield from the iterator ``texts`` until there are so many words."""
    while words > 0:
        text = next(texts)
        words -= size([text])
        yield text


def write_shard(folder: Path, texts: Mapping[str, Iterable[list[str]]]) -> None:
    """Write ``texts``, {split: lists of words}, and their binary form, by ../dict.txt."""
    folder.mkdir()
    for split, files in texts.items():
        write_lines(folder / f"{split}.txt", map(" ".join, files))
    binarise(folder, "--only-source", "--srcdict", "../dict.txt", suffix=".txt", splits=texts)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_dest(parser)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="DIR",
        type=Path,
        default=sysconfig.get_path("stdlib"),
        help="folder with the library (default: %(default)s)",
    )
    options = {
        "names": (1, 60, "names for the identifiers of a file (default: 60)"),
        "attributes": (0, 200, "attributes of most files that keep their names (default: 200)"),
        "shards": (1, 1, "parts of the training text (default: 1)"),
        "tokens": (1, None, "size of a part (default: that of all training files)"),
    }
    for option, (_, default, what) in options.items():
        parser.add_argument(f"--{option}", metavar="N", type=int, default=default, help=what)
    args = parser.parse_args(argv)
    for option, (least, *_) in options.items():
        value = getattr(args, option)
        if value is not None and value < least:
            raise InputError(f"--{option} {value}: must be {least} or more")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_arguments(argv)
    check_new(args.dest)
    files = modules(args.source)
    attributes = frequent_attributes(files["train"].values(), args.attributes)
    renaming = Renaming({*LANGUAGE, *attributes}, args.names)
    train = chain.from_iterable(renamed(files["train"], renaming, draw) for draw in count())
    words = args.tokens or size(renamed(files["train"], renaming, 0))
    held_out = {split: renamed(files[split], renaming, 0) for split in ("valid", "test")}
    with atomic_folder(args.dest) as folder:
        write_lines(folder / "dict.txt", dictionary(renaming))
        for number in range(1, args.shards + 1):
            others = held_out if number == 1 else {}
            write_shard(folder / f"shard{number}", {"train": taken(train, words), **others})
    data = ":".join(f"{args.dest}/shard{number}/bin" for number in range(1, args.shards + 1))
    print(f"ready for fairseq: {data}")


if __name__ == "__main__":
    main()
