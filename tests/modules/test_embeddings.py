"""Pretrained vectors: read as written, and malformed files named."""

import bz2
import gzip
import io
import logging
import lzma
import struct
import zipfile

import pytest
import torch
from fairseq.data import Dictionary

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import build_embedding, weights_in_checkpoint


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


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "absent"
    with pytest.raises(InputError, match=f"--decoder-embed-path {path}: cannot be read"):
        build_embedding(dictionary("the"), 3, path)


def test_the_line_and_word_with_a_byte_that_is_not_utf8_are_named(vectors):
    path = vectors(b"the 1 2 3\ncaf\xe9 s 4 5 6\nat 7 8 9\n")
    with pytest.raises(InputError) as error:
        build_embedding(dictionary("the"), 3, path)
    assert str(error.value).startswith(
        f"--decoder-embed-path {path}, line 2: 'caf\\xe9 s' is not UTF-8;"
    )


def test_lines_that_cannot_be_read_are_left_out_on_demand(vectors, caplog):
    """Counts at the start count them too; the words around them are read as ever."""
    words = dictionary("the", "at", "caf\ufffd")
    path = vectors(b"5 2\nthe 1 2\ncaf\xe9 3 4\nat 5 6\ncaf\xef\xbf\xbd 7 8\nof 9\n")
    weight = build_embedding(words, 2, path, skip_bad=True).weight
    assert weight[4:7].tolist() == [[1, 2], [5, 6], [7, 8]]
    [warning] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning.startswith(f"--decoder-embed-path {path}: 2 lines left out, the first line 3:")


@pytest.mark.parametrize("start", ["", "1 2\n"])
def test_a_byte_order_mark_is_no_letter_of_the_first_word(vectors, start):
    path = vectors(f"\ufeff{start}the 3 4\n")
    assert build_embedding(dictionary("the"), 2, path).weight[4].tolist() == [3, 4]


@pytest.mark.parametrize("name", ["vectors.GZ", "vectors.gz", "vectors"])
def test_gzip_is_known_by_its_content(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(b"the 3 4\n"))
    assert build_embedding(dictionary("the"), 2, path).weight[4].tolist() == [3, 4]


def zipped(content):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("vectors.txt", content)
    return archive.getvalue()


TEXT = b"the 1 2 3\n" * 9
BINARY = b"2 3\nthe " + struct.pack("<3f", 1, 2, 3) + b"\nat " + struct.pack("<3f", 4, 5, 6)


@pytest.mark.parametrize(
    "content, kind",
    [
        (BINARY, "binary word2vec"),
        (gzip.compress(BINARY), "binary word2vec"),
        (zipped(TEXT), "compressed \\(zip\\)"),
        (bz2.compress(TEXT), "compressed \\(bzip2\\)"),
        (lzma.compress(TEXT), "compressed \\(xz\\)"),
        (TEXT.decode().encode("utf-16"), "UTF-16"),
        (b"\x93NUMPY\x01\0v\0", "binary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_kinds_of_files_are_called_by_their_name(vectors, content, kind):
    path = vectors(content)
    complaint = f"^--decoder-embed-path {path}: cannot be read \\({kind}"
    with pytest.raises(InputError, match=complaint):
        build_embedding(dictionary("the"), 3, path, skip_bad=True)


WORDS = [f"word{k}" for k in range(20)]


def lines(words):
    return "".join(f"{word} 1 2\n" for word in words)


@pytest.mark.parametrize(
    "in_file, cause",
    [
        (["word1", *(word.upper() for word in WORDS)], "20 but for the case of letters"),
        (
            ["word1", "les", "mots", "autres"],
            "is it of this language and of such tokens? It begins 'word1 les mots', they"
            " 'word0 word1 word2'",
        ),
    ],
)
def test_vectors_of_few_words_are_warned_of_with_a_cause(vectors, caplog, in_file, cause):
    path = vectors(lines(in_file))
    build_embedding(dictionary(*WORDS), 2, path)
    [warning] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert warning == (
        f"--decoder-embed-path {path}: vectors for 1 of the dictionary's 20 words; {cause}"
    )


@pytest.mark.parametrize("in_file", [[], ["WORD1"], ["les", "</s>", "<unk>"]], ids=str)
def test_vectors_of_no_word_are_refused(vectors, in_file):
    path = vectors(lines(in_file))
    complaint = f"^--decoder-embed-path {path}: vectors for 0 of the dictionary's 20 words;"
    with pytest.raises(InputError, match=complaint):
        build_embedding(dictionary(*WORDS), 2, path)


def test_enough_vectors_are_not_warned_of(vectors, caplog):
    build_embedding(dictionary(*WORDS), 2, vectors(lines(["word1", "word7"])))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_model_from_a_checkpoint_needs_no_file():
    with weights_in_checkpoint():
        build_embedding(dictionary("the"), 2, "/no/vectors.txt")
    with pytest.raises(InputError, match="cannot be read"):
        build_embedding(dictionary("the"), 2, "/no/vectors.txt")


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
