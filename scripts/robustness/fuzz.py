"""Bytes that nobody thought of, to the readers of vectors, corpora and lines (by atheris).

    pip install atheris
    python scripts/robustness/fuzz.py vectors|sst|snli|sick|tsv|lines -max_total_time=120

Each reader may refuse its input in its own words; any other exception ends the run with the input
that raised it in a file. Arguments behind the reader's name go to libFuzzer.
"""

import io
import logging
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fairseq_lstmn"]):
    from fairseq_lstmn.data.corpora import columns, trees
    from fairseq_lstmn.data.data_folder import Normalisation
    from fairseq_lstmn.data.labelled_rows import LabelledRows, Row, Table
    from fairseq_lstmn.data.source_files import lines_of
    from fairseq_lstmn.errors import InputError
    from fairseq_lstmn.inference.lines import BadLine, LineReader
    from fairseq_lstmn.modules.vector_files import read_vectors

from fairseq.data import Dictionary

DICTIONARY = Dictionary()
for word in "a b the of".split():
    DICTIONARY.add_symbol(word)


def vectors(data: bytes) -> None:
    """``--encoder-embed-path`` on a file of ``data``."""
    path = Path(tempfile.gettempdir(), "fuzzed.txt")
    path.write_bytes(data)
    try:
        for vector in read_vectors(path, DICTIONARY, 2, "--encoder-embed-path").values():
            assert vector.isfinite().all()
    except InputError as error:
        assert "\n" not in str(error)


def rows(parse: Callable[[str], Row], data: bytes) -> None:
    """``fairseq-lstmn prepare`` on the lines of ``data``."""
    read = LabelledRows()
    lines = lines_of(io.BytesIO(data), "utf-8")
    read.read(Table("file", enumerate(lines, start=1), parse))
    for row in read.splits["train"]:
        for sentence in row.sentences:
            assert sentence and len(sentence.splitlines()) == 1
            sentence.encode("utf-8")


def lines(data: bytes) -> None:
    """``predict`` and ``attention`` on the lines of ``data``."""
    reader = LineReader(Normalisation(lower_case=True))
    for line in data.splitlines(keepends=True):
        try:
            for text in reader.fields(line):
                read = reader.sentence(text, DICTIONARY)
                assert len(read.tokens) == len(read.words) + 1
        except BadLine as error:
            assert "\n" not in str(error)


READERS: dict[str, Callable[[bytes], None]] = {
    "vectors": vectors,
    "sst": partial(rows, partial(trees.fine_row, "train")),
    "snli": partial(rows, partial(trees.pair_row, "train")),
    "sick": partial(
        rows,
        partial(
            columns.sick_row,
            ["sentence_A", "sentence_B", "label"],
            ["sentence_A", "sentence_B", "label"],
            "train",
        ),
    ),
    "tsv": partial(rows, partial(columns.TsvRows().row, "train", True)),
    "lines": lines,
}  # fmt: skip


SEEDS = {  # one sound input each, to begin with
    "vectors": b"2 2\na 0.5 -1\nb 1e-3 2\n",
    "sst": b"(3 (2 a) (4 (2 the) (2 -LRB-b-RRB-)))\n",
    "snli": b'{"gold_label": "neutral", "sentence1_binary_parse": "( a b )", '
    b'"sentence2_binary_parse": "( the ( of b ) )"}\n',
    "sick": b"A man is n't here\tThe man sleeps\tNEUTRAL\n",
    "tsv": b"1\ta b\tthe of\n0\tb\ta\n",
    "lines": b"a b the of\nb\tA unknown\n",
}


def main(reader: str, *options: str) -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as corpus:
        Path(corpus, "seed").write_bytes(SEEDS[reader])
        atheris.Setup([sys.argv[0], *options, corpus], READERS[reader])
        atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in READERS:
        sys.exit(f"usage: fuzz.py {'|'.join(READERS)} [libFuzzer's options]")
    main(*sys.argv[1:])
