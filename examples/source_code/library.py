"""The modules of a library of Python, as lines of words."""

import hashlib
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from fairseq_lstmn.data.data_folder import SPLITS
from fairseq_lstmn.errors import InputError

STRING, NUMBER = "<string>", "<number>"
NEWLINE, INDENT, DEDENT = "<newline>", "<indent>", "<dedent>"
CLASSES = {
    tokenize.STRING: STRING,
    tokenize.NUMBER: NUMBER,
    tokenize.NEWLINE: NEWLINE,
    tokenize.INDENT: INDENT,
    tokenize.DEDENT: DEDENT,
}
KEPT_NUMBERS = "0", "1", "2"
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
# an f-string is one token before Python 3.12, and all from a start to an end later
STARTS, ENDS = (
    {getattr(tokenize, f"{kind}STRING_{end}", None) for kind in "FT"} - {None}
    for end in ("START", "END")
)
OTHER_FOLDERS = {
    *("test", "tests", "encodings", "pydoc_data"),  # much of the same, and tables
    *("distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtledemo", "venv"),
    *("site-packages", "dist-packages"),  # the line above: not in every distribution
}


Lines = list[list[str]]  # of a module, a list of words for each


def modules(folder: Path) -> dict[str, dict[str, Lines]]:
    """{split: {path in ``folder``: logical lines}}; a whole file is in one split.

    Files are in the order of a hash of their paths, which tells the split too. Raises InputError,
    naming ``--from``, for what is no Python and for a split without a file.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    found: dict[str, dict[str, Lines]] = {split: {} for split in SPLITS}
    for name in sorted(filter(is_taken, paths), key=digest):
        found[split_of(name)][name] = read(paths[name])
    for split, files in found.items():
        if not any(files.values()):
            raise InputError(f"--from {folder}: has no file for {split}")
    return found


def read(path: Path) -> Lines:
    try:
        return list(logical_lines(path))
    except (OSError, SyntaxError, UnicodeDecodeError, tokenize.TokenError) as error:
        raise InputError(f"--from {path}: cannot be read as Python ({error})") from None


def is_taken(name: str) -> bool:
    """Whether the file is part of the corpus; _sysconfigdata is not the same on all machines."""
    *folders, file = name.split("/")
    return OTHER_FOLDERS.isdisjoint(folders) and not file.startswith("_sysconfigdata")


def split_of(name: str) -> str:
    """Of twenty files one is for validation and two are for the test."""
    return {0: "valid", 1: "test", 2: "test"}.get(int(digest(name), 16) % 20, "train")


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def logical_lines(path: Path) -> Iterator[list[str]]:
    """The words of a module, a list for each statement's line; docstrings are left out.

    A line starts with what it does to the block: it goes on, opens one, or ends some.
    """
    line: list[str] = []
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
    if line:
        yield line


def words(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[str]:
    """What is written for tokens of the module ``tokenize``."""
    depth = 0  # of f-strings in f-strings
    for token in tokens:
        depth += token.type in STARTS
        if depth == 0 and token.type not in SILENT:
            keeps = token.type == tokenize.NUMBER and token.string in KEPT_NUMBERS
            yield token.string if keeps else CLASSES.get(token.type, token.string)
        if token.type in ENDS:
            depth -= 1
            if depth == 0:
                yield STRING
