"""Tiny corpora for the three kinds of models, in shards of different size, and options for them.

Sentences are runs of the alphabet, so that there is something to learn from a few of them.
"""

import random

from tests.fairseq_commands import LETTERS, PLUGIN, run_together

COMMON = (
    "--user-dir", PLUGIN, "--cpu", "--dropout", 0, "--optimizer", "adam", "--lr", 0.01,
    "--clip-norm", 1, "--num-workers", 0, "--no-epoch-checkpoints", "--log-format", "json",
    "--log-interval", 1,
)  # fmt: skip
DECODER = "--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10
TEXT = "--arch", "lstmn_lm", *DECODER, "--decoder-layers", 2, "--distance-bias", 3
SENTENCES = "--task", "language_modeling", "--sample-break-mode", "eos", "--batch-size", 8
# both processes' streams are one process's
STREAMS = "--task", "contiguous_language_modeling", "--tokens-per-sample", 12, "--carry-tape", 20
TRANSLATION = (
    "--task", "translation", "--arch", "lstmn_deep", "--encoder-embed-dim", 8,
    "--encoder-hidden-size", 10, *DECODER, "--batch-size", 8,
)  # fmt: skip
PAIRS = (
    "--task", "sentence_pair_prediction", "--arch", "lstmn_nli", "--attention-fusion", "deep",
    "--criterion", "sentence_prediction", "--num-classes", 3, "--encoder-embed-dim", 8,
    "--encoder-hidden-size", 12, "--batch-size", 8, "--report-per-class",
)  # fmt: skip

LABELS = "contradiction", "entailment", "neutral"
VALID = 11  # sentences to validate on
# sentences to train on, shard by shard; fairseq's own task for pairs reads a single folder
SHARDS = {"text": (68, 30), "translation": (68, 30), "pairs": (68,)}
# of each kind the endings of its texts; where they are binarised to, and with which options
ENDINGS = {"text": [""], "translation": [".in", ".out"], "pairs": [".input0", ".input1"]}
LETTER_WORDS = "--srcdict", "{folder}/letters.txt"
SIDES = "--source-lang", "in", "--target-lang", "out", "--joined-dictionary", *LETTER_WORDS
ONLY = "--only-source", *LETTER_WORDS
PARTS = {
    "text": [("", ONLY)],
    "translation": [("", SIDES)],
    "pairs": [
        ("input0", ONLY),
        ("input1", ONLY),
        ("label", ("--only-source", "--srcdict", "{folder}/labels.txt")),
    ],
}


def write_corpora(folder):
    """{kind: [data folder of a shard]}, binarised under ``folder``."""
    for name, words in dict(letters=LETTERS, labels=LABELS).items():
        (folder / f"{name}.txt").write_text("".join(f"{word} 1\n" for word in words))
    corpora = {}
    for kind, shards in SHARDS.items():
        corpora[kind] = [folder / f"{kind}{number}" / "bin" for number in range(len(shards))]
        for data, train in zip(corpora[kind], shards):
            data.parent.mkdir()
            for split, count in dict(train=train, valid=VALID).items():
                write_split(kind, data.parent / split, count)
            run_together(list(binarising(kind, data, folder)))
    return corpora


def binarising(kind, data, dictionaries):
    """The commands that make a data folder of the texts beside it."""
    for part, options in PARTS[kind]:
        ending = part and f".{part}"
        texts = [f"--{split}pref={data.parent / split}{ending}" for split in ("train", "valid")]
        filled = [option.format(folder=dictionaries) for option in options]
        yield ["preprocess", *texts, *filled, "--destdir", data / part]


def write_split(kind, path, count):
    """Write a split's texts; a translation is its source, a label its premise's first letter."""
    draw = random.Random(path.name)
    starts = (draw.randrange(len(LETTERS) - 6) for _ in range(count))
    runs = [LETTERS[start : start + draw.randint(1, 6)] for start in starts]
    for ending in ENDINGS[kind]:
        path.with_suffix(ending).write_text("".join(" ".join(run) + "\n" for run in runs))
    if kind == "pairs":
        labels = (LABELS[ord(run[0]) % 3] for run in runs)
        path.with_suffix(".label").write_text("".join(f"{label}\n" for label in labels))
