"""Tiny corpora for the three kinds of models, in shards of different size.

Sentences are runs of the alphabet, so that there is something to learn from a few of them.
"""

import random

from tests.fairseq_commands import LETTERS, run_together

LABELS = "contradiction", "entailment", "neutral"
VALID = 11  # sentences to validate on
# sentences to train on, shard by shard; fairseq's own task for pairs reads a single folder
SHARDS = {"text": (68, 30), "translation": (68, 30), "pairs": (68,)}


def write_corpora(folder):
    """{kind: [data folder of a shard]}, binarised under ``folder``."""
    for name, words in dict(letters=LETTERS, labels=LABELS).items():
        (folder / f"{name}.txt").write_text("".join(f"{word} 1\n" for word in words))
    found = {}
    for kind, shards in SHARDS.items():
        found[kind] = [folder / f"{kind}{number}" / "bin" for number in range(len(shards))]
        for data, train in zip(found[kind], shards):
            data.parent.mkdir()
            for split, count in dict(train=train, valid=VALID).items():
                WRITERS[kind](data.parent, split, count)
            run_together(list(binarising(kind, data, folder)))
    return found


def binarising(kind, data, dictionaries):
    """The commands that make a data folder of the texts beside it."""
    for part, suffix, options in PARTS[kind]:
        texts = [f"--{split}pref={data.parent / split}{suffix}" for split in ("train", "valid")]
        given = [option.format(folder=dictionaries) for option in options]
        yield ["preprocess", *texts, *given, "--destdir", data / part]


def write_runs(path, count):
    """Write ``count`` lines of 1 to 6 letters in order; the same for a split's name."""
    draw = random.Random(path.stem)
    starts = (draw.randrange(len(LETTERS) - 6) for _ in range(count))
    lines = (LETTERS[start : start + draw.randint(1, 6)] for start in starts)
    path.write_text("".join(" ".join(line) + "\n" for line in lines))


def write_text(folder, split, count):
    write_runs(folder / split, count)


def write_parallel(folder, split, count):
    """Sentences that are their own translation."""
    for language in ("in", "out"):
        write_runs(folder / f"{split}.{language}", count)


def write_pairs(folder, split, count):
    """Pairs whose label is in their premise's first letter."""
    for part in ("input0", "input1"):
        write_runs(folder / f"{split}.{part}", count)
    premises = (folder / f"{split}.input0").read_text().splitlines()
    labels = [LABELS[ord(premise[0]) % 3] for premise in premises]
    (folder / f"{split}.label").write_text("".join(f"{label}\n" for label in labels))


WRITERS = {"text": write_text, "translation": write_parallel, "pairs": write_pairs}
LETTER_WORDS = "--srcdict", "{folder}/letters.txt"
# where the binarised part goes, what its texts' names end in, and the options it is made with
PARTS = {
    "text": [("", "", ("--only-source", *LETTER_WORDS))],
    "translation": [
        (
            "",
            "",
            ("--source-lang", "in", "--target-lang", "out", "--joined-dictionary", *LETTER_WORDS),
        )
    ],
    "pairs": [
        ("input0", ".input0", ("--only-source", *LETTER_WORDS)),
        ("input1", ".input1", ("--only-source", *LETTER_WORDS)),
        ("label", ".label", ("--only-source", "--srcdict", "{folder}/labels.txt")),
    ],
}
