"""Other names for the identifiers of a file, which only the file itself tells."""

import builtins
import keyword
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count

from library import Lines

LANGUAGE = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls"} - {"_"}


def frequent_attributes(files: Iterable[Lines], number: int) -> list[str]:
    """The names behind dots of the most ``files`` (of logical lines), at most ``number``."""
    found = Counter(name for lines in files for name in attributes(lines) - LANGUAGE)
    return sorted(found, key=lambda name: (-found[name], name))[:number]


def attributes(lines: Lines) -> set[str]:
    """The set of names behind dots."""
    pairs = (pair for line in lines for pair in zip(line, line[1:]))
    return {name for dot, name in pairs if dot == "." and name.isidentifier()}


class Renaming:
    """Gives the identifiers of a file names from v0, v1, ..., other ones in every file.

    Args:
        kept: the identifiers that stay.
        names: how many names there are.
    """

    def __init__(self, kept: Iterable[str], names: int) -> None:
        self.names = [f"v{number}" for number in range(names)]
        self.kept = set(kept) - set(self.names)

    def files(self, path: str, lines: Lines, draw: int) -> Iterator[list[str]]:
        """Yield a file's logical lines as one list of words, or several where names run out.

        Each of them has names of its own, which depend on the path, the ``draw``, a number, and
        the order of the identifiers. A line with more of them than there are names is left out.
        """
        parts = count()
        free: list[str] = []
        given: dict[str, str] = {}
        text: list[str] = []
        for line in lines:
            asked = dict.fromkeys(filter(self.is_renamed, line))
            if len(asked) > len(self.names):
                continue
            if not text or len(asked.keys() - given) > len(free):
                if text:
                    yield text
                free, given, text = self.drawn(f"{path} {next(parts)} {draw}"), {}, []
            given.update({word: free.pop() for word in asked if word not in given})
            text += [given.get(word, word) for word in line]
        if text:
            yield text

    def is_renamed(self, word: str) -> bool:
        return word.isidentifier() and word not in self.kept

    def drawn(self, seed: str) -> list[str]:
        return random.Random(seed).sample(self.names, len(self.names))
