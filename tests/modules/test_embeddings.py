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
    symbols = Dictionary()
    for word in words:
        symbols.add_symbol(word)
    return symbols


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


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


@pytest.mark.parametrize("name", ["vectors.GZ", "vectors.gz", "vectors"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("start", ["", "1 2\n", "\ufeff", "\ufeff1 2\n"])
def test_counts_byte_order_marks_and_gzip_are_no_part_of_the_text(tmp_path, name, compress, start):
    """Whether it is compressed is known by the content, unless the name says so."""
    path = tmp_path / name
    path.write_bytes(compress(f"{start}the 3 4\n".encode()))
    if compress is bytes and name != "vectors":
        pytest.raises(InputError, build_embedding, dictionary("the"), 2, path)
    else:
        assert build_embedding(dictionary("the"), 2, path).weight[4].tolist() == [3, 4]


def test_lines_that_cannot_be_read_are_left_out_on_demand(vectors, caplog):
    """Counts at the start count them too; the words around them are read as ever."""
    words = dictionary("the", "at", "caf\ufffd")
    path = vectors(b"5 2\nthe 1 2\ncaf\xe9 3 4\nat 5 6\ncaf\xef\xbf\xbd 7 8\nof 9\n")
    weight = build_embedding(words, 2, path, skip_bad=True).weight
    assert weight[4:7].tolist() == [[1, 2], [5, 6], [7, 8]]
    [warning] = warnings(caplog)
    assert warning.startswith(f"--decoder-embed-path {path}: 2 lines left out, the first line 3:")


def zipped(content):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("vectors.txt", content)
    return archive.getvalue()


TEXT = b"the 1 2 3\n" * 9
BINARY = b"2 3\nthe " + struct.pack("<3f", 1, 2, 3) + b"\nat " + struct.pack("<3f", 4, 5, 6)


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("the 1 2\n", ", line 1: not a word and 3 numbers$"),
        ("the 1 2 3 4\n", ", line 1: not a word and 3 numbers$"),
        ("the 1 2 3\nat 1 x 3\n", ", line 2: not a word and 3 numbers$"),
        ("the 1 2 3\n\n", ", line 2: not a word and 3 numbers$"),
        ("the 1 2 3\nat 1 nan 3\n", ", line 2: not a word and 3 numbers$"),
        ("the 1 inf 3\n", ", line 1: not a word and 3 numbers$"),
        (b"the 1 2 3\ncaf\xe9 s 4 5 6\nat 7 8 9\n", r", line 2: 'caf\\xe9 s' is not UTF-8;"),
        ("7 3\nthe 1 2 3\n", ": 1 vectors of 7, cut off$"),
        ("7 3\n" + 6 * "the 1 2 3\n", ": 6 vectors of 7, cut off$"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(vectors, content, complaint):
    path = vectors(content)
    with pytest.raises(InputError, match=f"^--decoder-embed-path {path}{complaint}"):
        build_embedding(dictionary("the"), 3, path)


@pytest.mark.parametrize(
    "content, kind",
    [
        (None, "\\[Errno 2\\] No such file"),
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
def test_other_kinds_of_files_are_called_by_their_name(vectors, tmp_path, content, kind):
    path = tmp_path / "absent" if content is None else vectors(content)
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
    [warning] = warnings(caplog)
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
    assert not warnings(caplog)


def test_a_model_from_a_checkpoint_needs_no_file():
    with weights_in_checkpoint():
        build_embedding(dictionary("the"), 2, "/no/vectors.txt")
    with pytest.raises(InputError, match="cannot be read"):
        build_embedding(dictionary("the"), 2, "/no/vectors.txt")


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
