"""Turn the library that every CPython carries into text whose names only memory can tell.

    python examples/source_code/prepare.py --dest data/source_code [--names 60] [--shards 4]

Comments and docstrings go, strings and numbers become classes, and keywords, operators, builtins
and frequent attributes stay. Every other identifier gets another name in every file, drawn from
v0, v1, ..., so that nothing but the file itself tells what it will be called. A file ends where
its line ends, and before it would need more names than there are.

DEST gets shard1, shard2, ..., each with train.txt and its binary form in ``bin``; shard1 has
valid.txt and test.txt too. The shards are cut one after the other from the training files, which
come round without end, under new names every time.
"""

import argparse
import builtins
import hashlib
import keyword
import random
import sysconfig
import tokenize
from collections import Counter
from itertools import chain, count
from pathlib import Path

from fairseq_lstmn.data.whole_folder import (
    SPLITS,
    add_dest,
    binarise,
    check_new,
    made_whole,
    write_lines,
)
from fairseq_lstmn.errors import InputError

STRING, NUMBER = "<string>", "<number>"
NEWLINE, INDENT, DEDENT = "<newline>", "<indent>", "<dedent>"
MARKS = {
    tokenize.STRING: STRING,
    tokenize.NUMBER: NUMBER,
    tokenize.NEWLINE: NEWLINE,
    tokenize.INDENT: INDENT,
    tokenize.DEDENT: DEDENT,
}
SHORT_NUMBERS = "0", "1", "2"
LEFT_OUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
LANGUAGE = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls"} - {"_"}
ATTRIBUTES = 200  # that keep their names
# f-strings are one token before Python 3.12, and from a start to an end later
OPENING, CLOSING = (
    {getattr(tokenize, f"{kind}STRING_{end}", None) for kind in "FT"} - {None}
    for end in ("START", "END")
)

# of folders: tests, tables, and what some distributions of Python leave out
OTHER_FOLDERS = {
    *("site-packages", "dist-packages", "test", "tests", "pydoc_data", "encodings"),
    *("distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtledemo", "venv"),
}


def library_files(library):
    """{path as text: Path} of the modules in the folder ``library``, in an order of no meaning."""
    paths = {path.relative_to(library): path for path in library.rglob("*.py")}
    kept = {
        relative.as_posix(): path
        for relative, path in paths.items()
        if not OTHER_FOLDERS & set(relative.parts) and not path.name.startswith("_sysconfigdata")
    }
    return {name: kept[name] for name in sorted(kept, key=digest)}


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def split_of(name):
    """The split of a file: of twenty one is valid and two are test."""
    return {0: "valid", 1: "test", 2: "test"}.get(int(digest(name), 16) % 20, "train")


def logical_lines(path):
    """The words of a module, a list for each statement's line; docstrings are left out.

    A line starts with what it does to the block: it goes on, opens one, or ends some.
    """
    line = []
    with open(path, "rb") as file:
        for word in words(tokenize.tokenize(file.readline)):
            if word == NEWLINE:
                blocks = [word for word in line if word in (INDENT, DEDENT)]
                if {*blocks, STRING}.issuperset(line):
                    line = blocks
                    continue
                yield line if blocks else [NEWLINE, *line]
                line = []
            elif word != STRING or line[-1:] != [STRING]:
                line.append(word)
    yield line


def words(tokens):
    """What is written for tokens of the module ``tokenize``."""
    depth = 0  # of f-strings in f-strings
    for token in tokens:
        depth += token.type in OPENING
        if depth == 0 and token.type not in LEFT_OUT:
            short = token.type == tokenize.NUMBER and token.string in SHORT_NUMBERS
            yield token.string if short else MARKS.get(token.type, token.string)
        if token.type in CLOSING:
            depth -= 1
            if depth == 0:
                yield STRING


def frequent_attributes(files, number):
    """The names that stand behind a dot in the most files (lists of logical lines)."""
    found = Counter()
    for lines in files:
        found.update(
            {
                name
                for line in lines
                for dot, name in zip(line, line[1:])
                if dot == "." and name.isidentifier() and name not in LANGUAGE
            }
        )
    return sorted(found, key=lambda name: (-found[name], name))[:number]


class Renaming:
    """Gives every identifier of a file that is not in ``kept`` one of the names v0, v1, ...

    Args:
        kept: the words that stay, a set.
        names: how many names there are.
    """

    def __init__(self, kept, names):
        self.names = [f"v{number}" for number in range(names)]
        self.kept = set(kept) - set(self.names)

    def files(self, name, lines, draw):
        """Yield the file ``name`` as lists of words; new ones start where names run out.

        Equal arguments give equal names, another ``draw`` gives others. A line that has more
        identifiers than there are names is left out.
        """
        pieces = count()
        free, given, text = None, {}, []
        for line in lines:
            asked = dict.fromkeys(word for word in line if self.is_renamed(word))
            if len(asked) > len(self.names):
                continue
            new = [word for word in asked if word not in given]
            if free is None or len(new) > len(free):
                if text:
                    yield text
                free, given, text = self.drawn(f"{name} {next(pieces)} {draw}"), {}, []
                new = list(asked)
            given.update(zip(new, free))
            free = free[len(new) :]
            text += [given.get(word, word) for word in line]
        if text:
            yield text

    def is_renamed(self, word):
        return word.isidentifier() and word not in self.kept

    def drawn(self, seed):
        return random.Random(seed).sample(self.names, len(self.names))


def renamed(files, renaming, draw):
    """Yield ``files``, {name: logical lines}, as lists of words."""
    for name, lines in files.items():
        yield from renaming.files(name, lines, draw)


def size(texts):
    """The number of words of lists of words, each with its end."""
    return sum(len(text) + 1 for text in texts)


def cut(stream, tokens):
    """Yield from the iterator ``stream`` until there are ``tokens`` words."""
    taken = 0
    while taken < tokens:
        text = next(stream)
        taken += size([text])
        yield text


def dictionary(renaming):
    """Every word there can be, in the lines of fairseq's dict.txt."""
    marks = {*MARKS.values(), *SHORT_NUMBERS}
    words = sorted({*marks, *tokenize.EXACT_TOKEN_TYPES, *renaming.kept}) + renaming.names
    return [f"{word} 1" for word in words]


def write_shard(folder, texts):
    """Write ``texts`` {split: lists of words} as text and in binary form, by ../dict.txt."""
    folder.mkdir()
    for split, files in texts.items():
        write_lines(folder / f"{split}.txt", map(" ".join, files))
    binarise(folder, "--only-source", "--srcdict", "../dict.txt", suffix=".txt", splits=texts)


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_dest(parser)
    for option, default, what in (
        ("--names", 60, "names for the identifiers of a file (default: 60)"),
        ("--shards", 1, "parts of the training text (default: 1)"),
        ("--tokens", None, "size of a shard (default: all training files, once)"),
    ):
        parser.add_argument(option, metavar="N", type=int, default=default, help=what)
    args = parser.parse_args(argv)
    for option in ("names", "shards", "tokens"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise InputError(f"--{option} {value}: must be 1 or more")
    return args


def main(argv=None):
    args = parse_arguments(argv)
    check_new(args.dest)
    files = {split: {} for split in SPLITS}
    for name, path in library_files(Path(sysconfig.get_path("stdlib"))).items():
        files[split_of(name)][name] = list(logical_lines(path))
    attributes = frequent_attributes(files["train"].values(), ATTRIBUTES)
    renaming = Renaming({*LANGUAGE, *attributes}, args.names)
    rounds = chain.from_iterable(renamed(files["train"], renaming, draw) for draw in count())
    tokens = args.tokens or size(renamed(files["train"], renaming, 0))
    held_out = {split: renamed(files[split], renaming, 0) for split in ("valid", "test")}
    with made_whole(args.dest) as folder:
        write_lines(folder / "dict.txt", dictionary(renaming))
        for number in range(1, args.shards + 1):
            write_shard(folder / f"shard{number}", {"train": cut(rounds, tokens), **held_out})
            held_out = {}
    data = ":".join(f"{args.dest}/shard{number + 1}/bin" for number in range(args.shards))
    print(f"ready for fairseq: {data}")


if __name__ == "__main__":
    main()
