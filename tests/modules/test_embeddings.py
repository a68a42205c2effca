"""Pretrained vectors: read as written, and malformed files named."""

import gzip

import pytest
import torch
from fairseq.data import Dictionary

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import build_embedding


def dictionary(*words):
    made = Dictionary()
    for word in words:
        made.add_symbol(word)
    return made


@pytest.fixture
def vectors(tmp_path):
    def write(text):
        path = tmp_path / "vectors.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_rows_of_known_words_are_the_files(vectors):
    words = dictionary("the", "at", "name@mail", ". .")
    path = vectors("the 1 2 3\nat -0.5 1e-3 0\nunheard 7 7 7\n. . 4 5 6\n")
    weight = build_embedding(words, 3, path).weight
    assert weight[words.index("the")].tolist() == [1, 2, 3]
    assert torch.allclose(weight[words.index("at")], torch.tensor([-0.5, 1e-3, 0]))
    assert weight[words.index(". .")].tolist() == [4, 5, 6]
    assert weight[words.index("name@mail")].abs().max() <= 0.1
    assert weight[words.pad()].tolist() == [0, 0, 0]


def test_the_first_line_is_skipped_only_if_it_holds_counts(vectors):
    words = dictionary("the")
    assert build_embedding(words, 2, vectors("1 2\nthe 3 4\n")).weight[4].tolist() == [3, 4]
    assert build_embedding(words, 2, vectors("the 3 4\n")).weight[4].tolist() == [3, 4]


@pytest.mark.parametrize(
    "text, line",
    [
        ("the 1 2\n", 1),
        ("the 1 2 3 4\n", 1),
        ("the 1 2 3\nat 1 x 3\n", 2),
        ("the 1 2 3\n\n", 2),
        ("the 1 2 3\nat 1 nan 3\n", 2),
        ("the 1 inf 3\n", 1),
    ],
)
def test_vectors_of_another_size_are_named(vectors, text, line):
    path = vectors(text)
    with pytest.raises(InputError) as error:
        build_embedding(dictionary("the"), 3, path)
    assert str(error.value) == (
        f"--decoder-embed-path {path}, line {line}: not a word and 3 numbers"
    )


def test_files_that_cannot_be_read_are_named(vectors, tmp_path):
    for path in (tmp_path / "absent", vectors(b"caf\xe9 1 2 3\n")):
        with pytest.raises(InputError, match=f"--decoder-embed-path {path}: cannot be read"):
            build_embedding(dictionary("the"), 3, path)


@pytest.mark.parametrize("text", ["7 3\nthe 1 2 3\n", "7 3\n" + 6 * "the 1 2 3\n"])
def test_fewer_vectors_than_counted_are_told(vectors, text):
    path = vectors(text)
    with pytest.raises(InputError, match=f"^--decoder-embed-path {path}: . vectors of 7, cut off"):
        build_embedding(dictionary("the"), 3, path)


def test_a_file_cut_in_the_middle_of_a_line_is_told(vectors, caplog):
    """Wherever that is: a line of fewer numbers is wrong, the middle of the last one doubtful."""
    whole = "the 0.25 -1.5 3.75\nat 1.25 2.5 -0.5\n"
    for length in range(whole.index("\n") + 2, len(whole)):
        caplog.clear()
        try:
            build_embedding(dictionary("the", "at"), 3, vectors(whole[:length]))
        except InputError as error:
            assert "line 2: not a word and 3 numbers" in str(error)
        else:
            assert "does not end with the end of a line" in caplog.text
    caplog.clear()
    build_embedding(dictionary("the", "at"), 3, vectors(whole))
    assert "end of a line" not in caplog.text


def test_a_compressed_file_cut_in_the_middle_is_told(tmp_path):
    path = tmp_path / "vectors.gz"
    content = gzip.compress(b"the 1 2 3\n" * 100)
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=f"--decoder-embed-path {path}: cannot be read"):
            build_embedding(dictionary("the"), 3, path)
