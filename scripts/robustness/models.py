"""Three small models with their data: what fairseq-train is given."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder

COMMON = (
    "--cpu --dropout 0.3 --optimizer adam --lr 0.01 --max-epoch 2 --num-workers 0 --seed 3"
    " --save-interval-updates 4 --keep-interval-updates 2 --log-format none"
).split()
SIZES = {"train": 44, "valid": 8}
WORDS = [f"w{number}" for number in range(20)]


def language(folder: Path) -> list[str]:
    """Contiguous text, of which tapes are carried from block to block."""
    words = dictionary(folder, "dict.txt", WORDS)
    for split in SIZES:
        binarise(folder / split, sentences(split, words))
    return options(
        folder, "--task contiguous_language_modeling --arch lstmn_lm --carry-tape 9"
        " --decoder-embed-dim 6 --decoder-out-embed-dim 6 --tokens-per-sample 6 --batch-size 6",
    )  # fmt: skip


def translation(folder: Path) -> list[str]:
    """Sentence pairs, translated with deep fusion."""
    for side in ("in", "out"):
        words = dictionary(folder, f"dict.{side}.txt", WORDS)
        for split in SIZES:
            binarise(folder / f"{split}.in-out.{side}", sentences(f"{split}.{side}", words))
    return options(
        folder, "--source-lang in --target-lang out --arch lstmn_deep --encoder-embed-dim 6"
        " --decoder-embed-dim 6 --decoder-out-embed-dim 6 --batch-size 6",
    )  # fmt: skip


def pairs(folder: Path) -> list[str]:
    """Premise and hypothesis in three classes, with pretrained vectors."""
    for part in ("input0", "input1", "label"):
        (folder / part).mkdir()
        words = dictionary(folder, f"{part}/dict.txt", WORDS[:3] if part == "label" else WORDS)
        for split in SIZES:
            length = 1 if part == "label" else None
            binarise(folder / part / split, sentences(f"{split}.{part}", words, length))
    vectors = "".join(f"{word} 1 2 3 -1 -2 -3\n" for word in WORDS[:10])
    (folder / "vectors.txt").write_text(vectors)
    return options(
        folder, "--task sentence_pair_prediction --criterion sentence_prediction --num-classes 3"
        " --arch lstmn_nli --attention-fusion deep --encoder-embed-dim 6 --encoder-hidden-size 6"
        f" --encoder-embed-path {folder}/vectors.txt --first-epoch-scale 0.35 --batch-size 6",
    )  # fmt: skip


def options(folder: Path, text: str) -> list[str]:
    return [str(folder), *COMMON, *text.split()]


def dictionary(folder: Path, name: str, words: Iterable[str]) -> Dictionary:
    made = Dictionary()
    for word in words:
        made.add_symbol(word)
    made.save(str(folder / name))
    return made


def sentences(
    name: str, words: Dictionary, length: int | None = None, size: int | None = None
) -> Iterator[list[int]]:
    """``size`` or as many as the split has, of 2 to 9 words or of ``length``; by name the same."""
    draw, first = random.Random(name), words.nspecial
    for _ in range(size or SIZES[name.split(".")[0]]):
        count = length or draw.randint(2, 9)
        yield [draw.randrange(first, len(words)) for _ in range(count)] + [words.eos()]


def binarise(path: Path, rows: Iterable[Sequence[int]]) -> None:
    builder = MMapIndexedDatasetBuilder(f"{path}.bin", dtype=np.uint16)
    for row in rows:
        builder.add_item(torch.tensor(row))
    builder.finalize(f"{path}.idx")


MODELS: dict[str, Callable[[Path], list[str]]] = {
    "language_model": language,
    "translation": translation,
    "sentence_pairs": pairs,
}
