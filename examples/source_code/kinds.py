"""What a word of the text is: an identifier seen in its file, how far back, a new one, or neither.

N words.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

END = "</s>"  # of a file
IDENTIFIER = re.compile(r"v\d+")
FURTHEST = 10, 30, 100, 300  # words back, of all kinds of seen identifiers but the last
SEEN = "1-10", "11-30", "31-100", "101-300", "over 300"
NEW, OTHER = "new", "other"
KINDS = (*SEEN, NEW, OTHER)


def kinds(words: Sequence[str]) -> NDArray[np.int64]:
    """The number in KINDS of every word (N,)."""
    numbers = np.empty(len(words), dtype=np.int64)
    last: dict[str, int] = {}
    for position, word in enumerate(words):
        if word == END:
            last = {}
        if not IDENTIFIER.fullmatch(word):
            numbers[position] = KINDS.index(OTHER)
        elif word not in last:
            numbers[position] = KINDS.index(NEW)
        else:
            numbers[position] = np.searchsorted(FURTHEST, position - last[word])
        last[word] = position
    return numbers
