"""Lines as a model reads them: normalised as its training text was, else what is unknown."""

import pytest
from fairseq.data import Dictionary

from fairseq_lstmn.data.data_folder import NORMALISATION, Normalisation
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.inference.lines import BadLine, LineReader


@pytest.fixture
def dictionary():
    words = Dictionary()
    for word in ("a", "fine", "day", "İ".lower()):
        words.add_symbol(word)
    return words


@pytest.mark.parametrize("lower_case", [True, False])
def test_a_record_is_read_as_it_was_written(tmp_path, lower_case):
    assert Normalisation.of_data(str(tmp_path)) is None
    Normalisation(lower_case).write(tmp_path)
    assert Normalisation.of_data(f"{tmp_path}:/elsewhere") == Normalisation(lower_case)


@pytest.mark.parametrize("record", ["", "{}", "[]", '{"case": "upper", "spaces": "single"}'])
def test_a_broken_record_is_named(tmp_path, record):
    (tmp_path / NORMALISATION).write_text(record)
    with pytest.raises(InputError, match=f"{NORMALISATION}: "):
        Normalisation.of_data(str(tmp_path))


def test_words_are_read_normalised_and_kept_as_written(dictionary):
    reader = LineReader(Normalisation(lower_case=True))
    sentence = reader.sentence("A  FINE\u00a0day İ Z", dictionary)
    assert sentence.words == ["A", "FINE", "day", "İ", "Z"]
    assert dictionary.string(sentence.tokens) == "a fine day i̇ <unk>"
    assert reader.unknown.warning("model.pt") is None


def test_without_a_record_unknown_words_are_counted(dictionary):
    reader = LineReader(None)
    reader.sentence("a " * 18 + "Fine", dictionary)
    assert reader.unknown.warning("model.pt") is None
    reader.sentence("<unk> Day Zzz", dictionary)
    assert reader.unknown.warning("model.pt") == (
        "model.pt: 3 of 22 words are unknown to it, of which 2 would be known in lower case; "
        "nothing records how its text was normalised"
    )


@pytest.mark.parametrize(
    "line, complaint",
    [
        (b"a \xff", "not UTF-8 text"),
        (b" \n", "empty sentence"),
        (b"a\t \n", "empty sentence"),
        (b"a b\ra b\r", "a carriage return within the line"),
        (b"a <pad> b", "<pad> is a mark"),
        (b"a </S>", "</s> is a mark"),
    ],
)
def test_bad_lines(dictionary, line, complaint):
    reader = LineReader(Normalisation(lower_case=True))
    with pytest.raises(BadLine, match=complaint):
        for text in reader.fields(line):
            reader.sentence(text, dictionary)


def test_a_byte_order_mark_is_no_letter():
    assert LineReader(None).fields("\ufeffa\tb\r\n".encode()) == ["a", "b"]
