"""Labelled rows as fairseq's task ``sentence_prediction`` reads them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fairseq_lstmn.data.labelled_rows import Row
from fairseq_lstmn.data.whole_folder import SPLITS, binarise, write_lines
from fairseq_lstmn.errors import InputError


def write(
    folder: Path,
    splits: Mapping[str, Sequence[Row]],
    labels: Iterable[str],
    threshold: int = 1,
) -> None:
    """Fill ``folder`` (a Path) with ``splits``, a list of Rows for each of SPLITS.

    It gets {train,valid,test}.tsv, a row's label and sentences, and in binary form input0, for
    pairs input1, and label. All sentences share one dictionary, the words that occur
    ``threshold`` times or more on either side in training; the ids of ``labels`` follow their
    alphabetical order. Raises InputError, naming ``--threshold``, for a dictionary without words.
    """
    for split in SPLITS:
        rows = splits[split]
        write_lines(folder / f"{split}.tsv", ("\t".join([r.label, *r.sentences]) for r in rows))

    words = Counter(
        word for row in splits["train"] for text in row.sentences for word in text.split()
    )
    frequent = by_frequency(words, threshold)
    if not frequent:
        most = max((count for _, count in by_frequency(words, 1)), default=0)
        raise InputError(
            f"--threshold {threshold}: no word of the training part occurs more than {most} times"
        )
    write_dictionary(folder / "input0", frequent)
    for side in range(len(splits["train"][0].sentences)):
        texts = {split: [row.sentences[side] for row in splits[split]] for split in SPLITS}
        write_binary(folder, f"input{side}", "input0", texts)

    counts = Counter(row.label for row in splits["train"])
    write_dictionary(folder / "label", ((label, counts[label]) for label in sorted(labels)))
    texts = {split: [row.label for row in splits[split]] for split in SPLITS}
    write_binary(folder, "label", "label", texts)


def by_frequency(counts: Mapping[str, int], threshold: int) -> list[tuple[str, int]]:
    """Return the (word, count) of a dictionary in the order of fairseq-preprocess."""
    frequent = (
        (word, count)
        for word, count in counts.items()
        # fairseq adds <unk> to every dictionary by itself
        if count >= threshold and word != "<unk>"
    )
    return sorted(frequent, key=lambda entry: (-entry[1], entry[0]))


def write_dictionary(folder: Path, entries: Iterable[tuple[str, int]]) -> None:
    folder.mkdir()
    write_lines(folder / "dict.txt", (f"{word} {count}" for word, count in entries))


def write_binary(
    folder: Path, name: str, dictionary: str, texts: Mapping[str, Iterable[str]]
) -> None:
    """Binarise ``texts`` (lines by split) into folder/NAME, by the dictionary of another."""
    plain = {folder / f"{split}.{name}": lines for split, lines in texts.items()}
    for path, lines in plain.items():
        write_lines(path, lines)
    dictionary = f"{dictionary}/dict.txt"
    binarise(folder, "--only-source", "--srcdict", dictionary, suffix=f".{name}", into=name)
    for path in plain:
        path.unlink()
