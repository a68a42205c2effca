"""Writes language-model text from the Python language reference that every CPython carries.

Usage: python reference_text.py FOLDER    (writes train.txt, valid.txt and test.txt there)

One sentence a line, lower-cased, words and punctuation apart, every number as ``N``; that it is
lower-cased is recorded beside it, for ``fairseq-lstmn attention``.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from fairseq_lstmn.data.data_folder import Normalisation

HELD_OUT_EVERY = 10
SPLITS = ("test", "valid", "train")
TOKEN = re.compile(r"\d+(?:\.\d+)*|\w+|[^\w\s]")
UNDERLINE = re.compile(r"^\W+$", re.MULTILINE)
SENTENCE_END = re.compile(r"(?<=[.?!:])\s+(?=[A-Z\"*])")


def sentences(text: str) -> Iterator[str]:
    """The tokenised sentences of a topic; an indented block (code, grammar) counts as one."""
    for paragraph in UNDERLINE.sub("\n", text).split("\n\n"):
        is_block = paragraph.startswith(" ")
        for sentence in [paragraph] if is_block else SENTENCE_END.split(paragraph):
            tokens = TOKEN.findall(sentence.lower())
            if tokens:
                yield " ".join("N" if token[0].isdigit() else token for token in tokens)


def split_of(index: int) -> str:
    """Whole topics are held out: of ten in alphabetical order one is valid and one is test."""
    return {0: "valid", HELD_OUT_EVERY // 2: "test"}.get(index % HELD_OUT_EVERY, "train")


def splits() -> dict[str, list[str]]:
    """``{split: [sentence]}`` in which no sentence occurs twice.

    A fifth of the reference is printed under several topics. What is held out is taken
    first, so that no sentence of valid or test is ever trained on.
    """
    texts: dict[str, list[str]] = {}
    seen: set[str] = set()
    for split in SPLITS:
        texts[split] = []
        for index, name in enumerate(sorted(topics)):
            if split_of(index) == split:
                new = [s for s in dict.fromkeys(sentences(topics[name])) if s not in seen]
                seen.update(new)
                texts[split] += new
    return texts


def write(folder: str | Path) -> dict[str, Path]:
    """Write one file a split into ``folder``; returns ``{split: path}``."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {split: folder / f"{split}.txt" for split in SPLITS}
    for split, lines in splits().items():
        paths[split].write_text("\n".join(lines) + "\n", encoding="utf-8")
    Normalisation(lower_case=True).write(folder)
    return paths


if __name__ == "__main__":
    for split, path in write(sys.argv[1]).items():
        lines = path.read_text(encoding="utf-8").splitlines()
        print(f"{split:5}  {sum(len(line.split()) for line in lines):6} words  {path}")
