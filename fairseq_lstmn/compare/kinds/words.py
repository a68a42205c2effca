"""How often every word occurs in a training text that fairseq has binarised."""

from collections import Counter
from pathlib import Path

import numpy as np
from fairseq.data import Dictionary, data_utils

from fairseq_lstmn.compare.quiet import quiet

AT_A_TIME = 1000  # sentences


def counts(data: str, subset: str) -> Counter[str]:
    """{word: occurrences} in a part of the folders ``data`` (colons between them) together."""
    total: Counter[str] = Counter()
    for folder in map(Path, data.split(":")):
        total += of_folder(folder, subset)
    return total


def of_folder(folder: Path, subset: str) -> Counter[str]:
    with quiet():
        dictionary = Dictionary.load(str(folder / "dict.txt"))
        sentences = data_utils.load_indexed_dataset(str(folder / subset), dictionary)
    found = np.zeros(len(dictionary), dtype=np.int64)
    for first in range(0, len(sentences), AT_A_TIME):
        numbers = range(first, min(first + AT_A_TIME, len(sentences)))
        tokens = np.concatenate([sentences[number].numpy() for number in numbers])
        found += np.bincount(tokens, minlength=len(dictionary))
    return Counter(dict(zip(dictionary.symbols, found.tolist())))
