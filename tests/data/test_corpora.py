"""Readers of the official formats: what they make of sound rows and of each kind of bad row."""

import json

import pytest

from fairseq_lstmn.data.corpora import CORPORA, SST_BINARY
from fairseq_lstmn.data.labelled_rows import LabelledRows
from fairseq_lstmn.data.source_files import opened
from fairseq_lstmn.errors import InputError
from tests.data.tiny_corpora import (
    DOG,
    FILES,
    MAN,
    SICK_FILES,
    SICK_FILES_BY_SPLIT,
    TSV_FILES,
    nli_line,
    with_line,
    write_folder,
    write_zip,
)

PAIRS = {
    "train": [
        ("entailment", "a man sleeps .", "somebody sleeps ."),
        ("neutral", "somebody sleeps .", "a man sleeps ."),
        ("entailment", "a man sleeps .", "sleeps"),
    ],
    "valid": [("contradiction", "a dog", "a man sleeps .")],
    "test": [("neutral", "a dog", "somebody sleeps .")],
}


def read(corpus, source, keep_case=False):
    """The LabelledRows of a corpus, by name or itself."""
    corpus = CORPORA.get(corpus, corpus)
    rows = LabelledRows(corpus.labels, keep_case)
    with opened(str(source)) as files:
        for table in corpus.tables(files):
            rows.read(table)
    return rows


@pytest.fixture
def read_files(tmp_path):
    """The LabelledRows of ``files`` in the folder ``source``."""

    def rows(corpus, files, folder="source", **options):
        return read(corpus, write_folder(tmp_path / folder, files), **options)

    return rows


def plain(rows):
    """{split: [(label, sentence, ...)]}."""
    return {
        split: [(row.label, *row.sentences) for row in part] for split, part in rows.splits.items()
    }


def test_sst_has_the_label_of_the_root(read_files):
    rows = read_files("sst", FILES["sst"])
    assert plain(rows) == {
        "train": [
            ("3", "the rock works ."),
            ("0", "bad acting"),
            ("2", "it is"),
            ("4", "rocks"),
            ("1", "bad acting"),
        ],
        "valid": [("2", "it"), ("1", "bad rock")],
        "test": [("4", "the rock")],
    }
    assert rows.labels == {"0", "1", "2", "3", "4"}
    assert not rows.bad and not rows.left_out


def test_sst_binary_leaves_neutral_sentences_out(read_files):
    rows = read_files(SST_BINARY, FILES["sst"])
    labels = {split: "".join(row.label for row in kept) for split, kept in rows.splits.items()}
    assert labels == {"train": "1010", "valid": "0", "test": "1"}
    assert rows.left_out == {"neutral": 2}
    assert not rows.bad


@pytest.mark.parametrize(
    "leaf, words",
    [
        ("-LRB-", "("),
        ("-RRB-", ")"),
        (":-RRB-", ":)"),
        ("-LSB-", "["),
        ("-RCB-", "}"),
        (r"comedy\/drama", "comedy/drama"),
        (r"d\*\*n", "d**n"),
        (r"C:\dir", r"c:\dir"),
        ("2\u00a01\\/2", "2 1/2"),
        ("Crème", "crème"),
    ],
)
def test_words_are_as_written(read_files, leaf, words):
    rows = read_files("sst", with_line("sst", f"(3 (2 {leaf}) (2 it))"))
    assert plain(rows)["train"][1] == ("3", f"{words} it")
    line = nli_line("neutral", f"( {leaf} it )", MAN)
    rows = read_files("snli", with_line("snli", line), "pairs")
    assert plain(rows)["train"][1] == ("neutral", f"{words} it", "a man sleeps .")


@pytest.mark.parametrize("corpus", ["snli", "mnli"])
def test_nli_pairs_without_gold_label_are_left_out(read_files, corpus):
    rows = read_files(corpus, FILES[corpus])
    assert plain(rows) == PAIRS
    assert rows.left_out == {"without a gold label": 2}
    assert not rows.bad


def test_sick_is_tokenised(read_files):
    rows = read_files("sick", SICK_FILES)
    assert plain(rows) == {
        "train": [("neutral", "a man is n't in the dog 's house", "a dog , in a t-shirt")],
        "valid": [("entailment", "a man sleeps", "somebody sleeps")],
        "test": [("contradiction", "a man sleeps", "nobody sleeps")],
    }
    assert not rows.bad
    three = read_files("sick", SICK_FILES_BY_SPLIT, "three")
    assert plain(three) == plain(rows)


def test_tsv_learns_its_labels_from_training(read_files):
    rows = read_files("tsv", FILES["tsv"])
    assert plain(rows)["train"][:2] == [("good", "a fine day"), ("bad", "sad <unk> day day")]
    assert rows.labels == {"good", "bad", "so-so"}
    as_written = read_files("tsv", FILES["tsv"], "again", keep_case=True)
    assert plain(as_written)["train"][0] == ("good", "A fine Day")


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["", "byte order mark"])
@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("last", [True, False], ids=["last ended", "last not ended"])
@pytest.mark.parametrize("corpus", FILES)
def test_ends_of_lines_do_not_matter(tmp_path, read_files, corpus, last, end, start):
    folder = write_folder(tmp_path / "other", FILES[corpus])
    for name, lines in FILES[corpus].items():
        (folder / name).write_bytes((start + end.join(lines) + end * last).encode("utf-8"))
    rows = read(corpus, folder)
    assert plain(rows) == plain(read_files(corpus, FILES[corpus]))
    assert not rows.bad


HEADER = "label\tsentence"


def with_first(*firsts):
    """The files of tsv with ``firsts``, a row or None for each, before their rows."""
    return {
        name: [first, *lines] if first else lines
        for (name, lines), first in zip(TSV_FILES.items(), firsts)
    }


@pytest.mark.parametrize(
    "header, pairs",
    [(HEADER, False), ("label\tsentence1\tsentence2", True), ('"label"\t"text"', False)],
)
def test_the_first_row_of_all_parts_is_a_header(read_files, header, pairs):
    files = with_first(header, f"\ufeff{header}", f"{header}\r")
    if pairs:
        files = {
            name: [first, *(f"{row}\tb" for row in rows)] for name, (first, *rows) in files.items()
        }
    rows = read_files("tsv", files)
    assert rows.labels == {"good", "bad", "so-so"}
    assert {split: len(kept) for split, kept in rows.splits.items()} == {
        "train": 3, "valid": 1, "test": 1,
    }  # fmt: skip
    assert [count for reason, count in rows.left_out.items() if "header" in reason] == [3]
    assert not rows.bad


@pytest.mark.parametrize(
    "firsts", [("bad\ta",) * 3, ("good\ta",) * 3, ("a\tb", "a\tb", "a\tc")], ids=str
)
def test_rows_whose_label_comes_again_or_that_differ_are_data(read_files, firsts):
    rows = read_files("tsv", with_first(*firsts))
    assert len(rows.splits["train"]) == 4 and len(rows.splits["test"]) == 2
    assert not rows.left_out and not rows.bad


def test_a_header_of_one_part_alone_is_a_row_with_a_note_or_a_bad_one(tmp_path, read_files):
    rows = read_files("tsv", with_first(HEADER, None, None))
    assert "label" in rows.labels
    assert rows.notes == [
        f"{tmp_path}/source/train.tsv: only the first row has the label 'label'; "
        "if that is a header, take it out"
    ]
    rows = read_files("tsv", with_first(None, HEADER, None), "held out")
    assert [reason for _, reason in rows.bad] == ["unknown label"]


@pytest.mark.parametrize(
    "written, sentence",
    [
        ('"Well, a day"', "well, a day"),
        ('"""Well"", a day"', '"well", a day'),
        ('"a ""fine"" day"', 'a "fine" day'),
    ],
)
def test_quotes_of_a_spreadsheet(tmp_path, read_files, written, sentence):
    rows = read_files("tsv", with_line("tsv", f"good\t{written}"))
    assert plain(rows)["train"][:2] == [("good", "a fine day"), ("good", sentence)]
    assert [note.partition(": ")[0] for note in rows.notes] == [f"{tmp_path}/source/train.tsv"]


@pytest.mark.parametrize(
    "sentences",
    [
        ['" a fine day'],
        ['" a fine day"'],
        ['"a fine day "'],
        ['he said " a day "'],
        ['"a day" , "a night"'],
        ['"a day"', 'he said " a day "'],
        ['"'],
    ],
    ids=str,
)
def test_quotes_of_the_text_are_words(read_files, sentences):
    files = {**TSV_FILES, "valid.tsv": [f"good\t{sentence}" for sentence in sentences]}
    rows = read_files("tsv", files)
    assert plain(rows)["valid"] == [("good", sentence) for sentence in sentences]
    assert not rows.notes and not rows.bad


def test_quotes_do_not_reach_other_files(read_files):
    files = {**TSV_FILES, "train.tsv": ['"good"\t"a, b"'], "valid.tsv": ['good\t" a'] * 2}
    rows = read_files("tsv", files)
    assert plain(rows)["train"] == [("good", "a, b")]
    assert plain(rows)["valid"] == [("good", '" a')] * 2


@pytest.mark.parametrize("corpus", FILES)
def test_folder_of_folder_zip_and_address_are_the_same(tmp_path, corpus):
    files = FILES[corpus]
    expected = plain(read(corpus, write_folder(tmp_path / "plain", files)))
    write_folder(tmp_path / "outer" / "inner", files)
    archive = write_zip(tmp_path / "corpus.zip", files)
    for source in (tmp_path / "outer", archive, archive.as_uri()):
        assert plain(read(corpus, source)) == expected


def nli_without(name):
    fields = json.loads(nli_line("neutral", MAN, DOG))
    del fields[name]
    return json.dumps(fields)


BAD_ROWS = [
    ("sst", "(3 (2 The) (2 Rock)", "unbalanced tree"),
    ("sst", "(3 (2 The) (2 Rock)))", "unbalanced tree"),
    ("sst", "(3 The) (2 Rock)", "unbalanced tree"),
    ("sst", "The Rock", "unbalanced tree"),
    ("sst", "(", "unbalanced tree"),
    ("sst", "(5 (2 The) (2 Rock))", "unknown label: '5'"),
    ("sst", "()", "empty sentence"),
    ("sst", "(3 (2 ) (2 ))", "empty sentence"),
    ("sst", "", "blank line"),
    ("sst", b"(3 (2 caf\xe9) (2 it))", r"bytes that are no text in this encoding: b'\xe9'"),
    ("sst", "(3 (2 The)\r(2 Rock))", r"a carriage return within the row: '\r(2 Rock))'"),
    ("sst", "(3 (2 <pad>) (2 it))", "a mark that fairseq adds by itself: '<pad>'"),
    ("sst", "(3 (2 <S>) (2 it))", "a mark that fairseq adds by itself: '<s>'"),
    ("snli", '{"gold_label": "neutral"', "broken JSON"),
    ("snli", '["neutral"]', "broken JSON"),
    ("snli", "[" * 100_000, "broken JSON"),
    ("snli", nli_without("gold_label"), "missing column: 'gold_label'"),
    ("snli", nli_without("sentence2_binary_parse"), "missing column: 'sentence2_binary_parse'"),
    ("snli", nli_line(3, MAN, DOG), "missing column: 'gold_label'"),
    ("snli", nli_line("maybe", MAN, DOG), "unknown label: 'maybe'"),
    ("snli", nli_line("neutral", MAN, ""), "empty sentence"),
    ("snli", nli_line("neutral", "( )", DOG), "empty sentence"),
    ("snli", nli_line("neutral", MAN, "( A dog"), "unbalanced tree"),
    ("snli", nli_line("neutral", MAN, ") A dog ("), "unbalanced tree"),
    ("snli", nli_line("neutral", MAN, "\ud800"), r"not UTF-8 text: '\ud800'"),
    ("mnli", nli_line("neutral", MAN, "</s>"), "a mark that fairseq adds by itself: '</s>'"),
    ("sick", "9\tA man\tA dog\tNEUTRAL", "missing column: 'SemEval_set'"),
    ("sick", "9\tA man\tA dog\tNEUTRAL\tDEV", "unknown SemEval_set: 'DEV'"),
    ("sick", "9\tA man\tA dog\tMAYBE\tTRAIN", "unknown label: 'maybe'"),
    ("sick", "9\tA man\t\tNEUTRAL\tTRAIN", "empty sentence"),
    ("tsv", "good", "missing column: 'good'"),
    ("tsv", "good\ta\tb", "too many columns: 3"),
    ("tsv", "good\t ", "empty sentence"),
    ("tsv", "good\ta\rbad\tb", r"a carriage return within the row: '\rbad\tb'"),
    (
        "tsv",
        "good\t\0a",
        r"a null character, as in UTF-16 read by another encoding: 'good\t\x00a'",
    ),
    ("tsv", "very good\ta day", "a label must be one word and no mark of fairseq's: 'very good'"),
    ("tsv", "<unk>\ta day", "a label must be one word and no mark of fairseq's: '<unk>'"),
    ("tsv", "\ta day", "a label must be one word and no mark of fairseq's"),
]


@pytest.mark.parametrize("corpus, line, reason", BAD_ROWS)
def test_bad_row_is_reported_with_its_place_and_not_used(
    tmp_path, read_files, corpus, line, reason
):
    rows = read_files(corpus, with_line(corpus, line))
    name = next(iter(FILES[corpus]))
    place = f"{tmp_path}/source/{name}:2: {reason}"
    assert rows.bad == [(place, reason.partition(":")[0])]
    assert plain(rows) == plain(read_files(corpus, FILES[corpus], "without"))


def test_label_of_a_bad_row_is_not_learnt(read_files):
    files = with_line("tsv", "ugly\t ")
    files["valid.tsv"].append("ugly\ta day")
    rows = read_files("tsv", files)
    assert [reason for _, reason in rows.bad] == ["empty sentence", "unknown label"]
    assert rows.labels == {"good", "bad", "so-so"}


def test_long_text_of_a_bad_row_is_cut(read_files):
    rows = read_files("tsv", with_line("tsv", "x" * 9999))
    assert rows.bad[0][0].endswith("missing column: '" + "x" * 59)


@pytest.mark.parametrize("corpus", FILES)
def test_missing_file(tmp_path, corpus):
    files = dict(FILES[corpus])
    name, _ = files.popitem()
    folder, archive = write_folder(tmp_path / "some", files), write_zip(tmp_path / "z.zip", files)
    name = "SICK_train.txt" if corpus == "sick" else name
    for source in (folder, archive):
        with pytest.raises(InputError, match=f"^--from {source}: has no {name}$"):
            read(corpus, source)


def test_two_files_of_a_name(tmp_path):
    write_folder(tmp_path / "a", FILES["tsv"])
    write_folder(tmp_path / "b", FILES["tsv"])
    with pytest.raises(InputError, match="has both a/train.tsv and b/train.tsv"):
        read("tsv", tmp_path)


def test_bad_archives(tmp_path):
    page = tmp_path / "page.zip"
    page.write_text("<html>404</html>")
    with pytest.raises(InputError, match="page.zip: not a sound zip archive"):
        read("sst", page)

    damaged = write_zip(tmp_path / "damaged.zip", FILES["sst"])
    content = bytearray(damaged.read_bytes())
    content[60:70] = bytes(10)
    damaged.write_bytes(content)
    with pytest.raises(InputError, match="damaged.zip/corpus_1.0/train.txt: cannot be read"):
        read("sst", damaged)

    with pytest.raises(InputError, match="absent: cannot be read"):
        read("sst", tmp_path / "absent")


@pytest.mark.parametrize(
    "header, complaint",
    [
        ("pair_ID\tsentence_A\tSemEval_set", "its header has no column sentence_B"),
        ("sentence_A\tsentence_B\tSemEval_set", "its header has no column entailment_label"),
        ("sentence_A\tsentence_B\tentailment_label", "its header has no column SemEval_set"),
        ("", r"has no header \(blank line\)"),
    ],
)
def test_header_of_sick(read_files, header, complaint):
    with pytest.raises(InputError, match=f"source/SICK.txt: {complaint}"):
        read_files("sick", {"SICK.txt": [header]})
