"""``fairseq-lstmn prepare``, up to what fairseq's task sentence_prediction loads."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from fairseq.data import Dictionary
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq_cli import preprocess

from fairseq_lstmn.cli import main
from fairseq_lstmn.data import data_folder
from fairseq_lstmn.data.data_folder import Normalisation
from tests.data.tiny_corpora import FILES, TSV_FILES, with_line, write_folder, write_zip

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = "import sys; from fairseq_lstmn.cli import main; sys.exit(main())"
SPLITS = ("train", "valid", "test")


@pytest.fixture
def quick(monkeypatch):
    """Let fairseq-preprocess run in this process: most of its time is the start of one."""

    def run(command, cwd, **streams):
        python, option, module, *arguments = command
        assert (option, module) == ("-m", "fairseq_cli.preprocess")
        handlers = list(preprocess.logger.handlers)
        with monkeypatch.context() as here:
            here.chdir(cwd)
            here.setattr(sys, "argv", [module, *arguments])
            preprocess.cli_main()
        preprocess.logger.handlers = handlers
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr(data_folder.subprocess, "run", run)


@pytest.fixture
def prepare(tmp_path, quick):
    """Prepare the files of a corpus under options in this process; returns the new folder."""

    def run(corpus, files, *options, dest="data"):
        source = write_folder(tmp_path / f"source of {dest}", files)
        arguments = "prepare", corpus, "--from", source, "--dest", tmp_path / dest, *options
        assert main(list(map(str, arguments))) == 0
        return tmp_path / dest

    return run


def complaint(*arguments):
    """The message of a preparation that fails."""
    with pytest.raises(SystemExit) as exit:
        main(["prepare", *map(str, arguments)])
    return exit.value.code


@pytest.fixture
def refused(tmp_path):
    """The files of a corpus under options are refused; the message behind ``--from``."""
    source = tmp_path / "source"

    def run(corpus, files, *options):
        write_folder(source, files)
        message = complaint(corpus, "--from", source, "--dest", tmp_path / "data", *options)
        assert os.listdir(tmp_path) == ["source"]
        return message.removeprefix(f"error: --from {source}: ")

    return run


def files_in(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in paths if path.name != "preprocess.log"}


def layout(*names):
    """The files of prepared data whose binary parts have ``names``."""
    binary = {
        f"{name}/{split}.{end}" for name in names for split in SPLITS for end in ("bin", "idx")
    }
    texts = {f"{split}.tsv" for split in SPLITS} | {"normalisation.json"}
    return texts | binary | {f"{name}/dict.txt" for name in names}


def loaded(folder, split, classes):
    """The rows (label, sentence and its ends) as fairseq's task reads a split."""
    cfg = Namespace(
        data=str(folder), num_classes=classes, regression_target=False, init_token=None,
        separator_token=None, no_shuffle=True, shorten_method="none", shorten_data_split_list="",
        add_prev_output_tokens=False, max_positions=512, seed=1, d2v2_multi=False,
    )  # fmt: skip
    task = SentencePredictionTask.setup_task(cfg)
    data, labels = task.load_dataset(split), task.label_dictionary
    samples = [data[index] for index in range(len(data))]
    return [
        (
            labels[int(sample["target"]) + labels.nspecial],
            task.source_dictionary.string(sample["net_input.src_tokens"], include_eos=True),
        )
        for sample in samples
    ]


def tsv(folder, split):
    lines = (folder / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split("\t")) for line in lines]


def ids(folder):
    """The words of a dictionary that are not fairseq's own, in the order of their ids."""
    dictionary = Dictionary.load(str(folder / "dict.txt"))
    return dictionary.symbols[dictionary.nspecial :]


def test_as_a_user_runs_it(tmp_path):
    archive = write_zip(tmp_path / "trees.zip", FILES["sst"])
    dest = tmp_path / "data" / "sst"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "prepare", "sst", "--binary", "--from", archive]
        + ["--dest", dest],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "train: 4 rows, the longest of 5 tokens",
        "valid: 1 rows, the longest of 3 tokens",
        "test: 1 rows, the longest of 3 tokens",
        "left out: 2 rows, neutral",
        "labels, numbered from 0 (--num-classes 2): 0 1",
        f"ready for fairseq: {dest}",
    ]
    assert "preprocess" not in done.stderr
    assert "Namespace(" in (dest / "input0" / "preprocess.log").read_text()
    assert os.listdir(tmp_path / "data") == ["sst"]
    assert files_in(dest) == layout("input0", "label")
    assert loaded(dest, "train", classes=2) == [
        ("1", "the rock works . </s>"),
        ("0", "bad acting </s>"),
        ("1", "rocks </s>"),
        ("0", "bad acting </s>"),
    ]


@pytest.mark.parametrize("corpus", ["snli", "mnli", "sick"])
def test_pairs_round_trip_through_fairseq(prepare, corpus):
    dest = prepare(corpus, FILES[corpus])
    assert files_in(dest) == layout("input0", "input1", "label")
    assert ids(dest / "label") == ["contradiction", "entailment", "neutral"]
    assert ids(dest / "input1") == ids(dest / "input0")
    known = set(ids(dest / "input0"))
    for split in SPLITS:
        expected = [
            (label, f"{words(first, known)} </s> {words(second, known)} </s>")
            for label, first, second in tsv(dest, split)
        ]
        assert loaded(dest, split, classes=3) == expected


def words(sentence, known):
    return " ".join(word if word in known else "<unk>" for word in sentence.split())


def test_dictionaries_are_those_fairseq_would_make_of_both_sides(prepare):
    """But for labels, which are numbered in alphabetical order."""
    dest = prepare("snli", FILES["snli"])
    expected = Dictionary()
    for _, *sentences in tsv(dest, "train"):
        for sentence in sentences:
            expected.encode_line(sentence, append_eos=False)
    expected.finalize(padding_factor=1)
    actual = Dictionary.load(str(dest / "input0" / "dict.txt"))
    assert actual.symbols == expected.symbols
    assert actual.count[actual.nspecial :] == expected.count[expected.nspecial :]
    assert "somebody" in actual and "dog" not in actual  # one on the second side, one in valid
    # contradiction does not occur in training, entailment most often
    lines = (dest / "label" / "dict.txt").read_text().splitlines()
    assert lines == ["contradiction 0", "entailment 2", "neutral 1"]


def test_threshold_and_unk_of_the_text(prepare):
    dest = prepare("tsv", TSV_FILES, "--threshold", "2")
    assert ids(dest / "input0") == ["day", "a"]
    assert loaded(dest, "train", classes=3) == [
        ("good", "a <unk> day </s>"),
        ("bad", "<unk> <unk> day day </s>"),
        ("so-so", "a day </s>"),
    ]
    assert tsv(dest, "train")[1] == ("bad", "sad <unk> day day")


def test_kept_text_prepares_the_same_data(tmp_path, prepare):
    first = prepare("snli", FILES["snli"], "--keep-case")
    sentences = "A man sleeps .", "Somebody sleeps ."
    assert tsv(first, "train")[0] == ("entailment", *sentences)
    files = {path.name: path.read_text().splitlines() for path in first.glob("*.tsv")}
    # only labels that occur in training are known to tsv
    files["train.tsv"].append("contradiction\tA man\tA man")
    again = prepare("tsv", files, "--keep-case", dest="again")
    assert files_in(again) == files_in(first)
    assert tsv(again, "train")[:-1] == tsv(first, "train")
    for split in ("valid", "test"):
        assert tsv(again, split) == tsv(first, split)
    for name in ("input0/valid.bin", "input1/test.bin", "label/valid.bin"):
        assert (again / name).read_bytes() == (first / name).read_bytes()


@pytest.mark.parametrize("options, lower_case", [((), True), (("--keep-case",), False)])
def test_what_is_done_to_letters_is_recorded(prepare, options, lower_case):
    dest = prepare("tsv", TSV_FILES, *options)
    assert Normalisation.of_data(str(dest)) == Normalisation(lower_case)


def with_bad_rows():
    files = with_line("sst", "(3 (2 The)")
    files["test.txt"] += ["(7 a)"] * 24
    return files


def test_bad_rows_are_listed_and_nothing_is_left(tmp_path, refused, capsys):
    message = refused("sst", with_bad_rows())
    assert message == "bad rows: 25; correct them or give --skip-bad-rows"
    listed = capsys.readouterr().err.splitlines()
    assert listed[0] == f"{tmp_path}/source/train.txt:2: unbalanced tree"
    assert listed[1] == f"{tmp_path}/source/test.txt:2: unknown label: '7'"
    assert len(listed) == 21 and listed[-1] == "... and 5 more"


def test_bad_rows_are_counted_and_skipped(prepare, capsys):
    dest = prepare("sst", with_bad_rows(), "--skip-bad-rows")
    printed = capsys.readouterr().out.splitlines()
    assert {
        "train: 5 rows, the longest of 5 tokens",
        "test: 1 rows, the longest of 3 tokens",
        "skipped: 1 bad rows, unbalanced tree",
        "skipped: 24 bad rows, unknown label",
    } <= set(printed)
    assert [label for label, _ in loaded(dest, "test", classes=5)] == ["4"]


def test_options_that_cannot_be(tmp_path):
    source = write_folder(tmp_path / "source", TSV_FILES)
    arguments = "tsv", "--from", source, "--dest"
    assert "--threshold 0: must be 1 or more" in complaint(
        *arguments, tmp_path / "data", "--threshold", "0"
    )
    assert f"--dest {source}: exists already" in complaint(*arguments, source)
    assert "cannot be written" in complaint(*arguments, source / "train.tsv" / "data")
    assert sorted(os.listdir(source)) == sorted(TSV_FILES)


def test_own_rows_must_be_named(tmp_path, capsys):
    assert complaint("tsv", "--dest", tmp_path / "data") == 2
    assert "--from" in capsys.readouterr().err


def test_header_is_left_out_and_said(prepare, capsys):
    files = {name: ["label\tsentence", *lines] for name, lines in TSV_FILES.items()}
    dest = prepare("tsv", files)
    printed = capsys.readouterr().out.splitlines()
    note = "left out: 3 rows, a header (label, sentence; --no-header reads it as data)"
    assert note in printed and "train: 3 rows, the longest of 5 tokens" in printed
    assert ids(dest / "label") == ["bad", "good", "so-so"]
    assert "sentence" not in ids(dest / "input0")
    rows = prepare("tsv", files, "--no-header", dest="rows")
    assert ids(rows / "label") == ["bad", "good", "label", "so-so"]


def test_quotes_of_a_spreadsheet_are_taken_off_and_said(tmp_path, prepare, capsys):
    files = {**TSV_FILES, "valid.tsv": ['"good"\t"a ""fine"" day"']}
    assert tsv(prepare("tsv", files), "valid") == [("good", 'a "fine" day')]
    note = "fields without their quotes, as of a spreadsheet (--keep-quotes keeps them)"
    assert f"{tmp_path}/source of data/valid.tsv: {note}" in capsys.readouterr().out.splitlines()
    files["valid.tsv"] = ['good\t"a day"']
    dest = prepare("tsv", files, "--keep-quotes", dest="words")
    assert tsv(dest, "valid") == [("good", '"a day"')]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig", "shift_jis"])
def test_files_of_another_encoding(tmp_path, prepare, encoding):
    word = "映画" if encoding == "shift_jis" else "café"
    texts = dict.fromkeys(("valid.tsv", "test.tsv"), f"bad\t{word}\n")
    texts["train.tsv"] = f"good\t{word} a\nbad\t{word}\r\nso-so\ta\n"
    source = write_folder(tmp_path / "source", {})
    for name, text in texts.items():
        (source / name).write_bytes(text.encode(encoding))
    dest = tmp_path / "data"
    main(["prepare", "tsv", "--from", str(source), "--dest", str(dest), "--encoding", encoding])
    assert tsv(dest, "train") == [("good", f"{word} a"), ("bad", word), ("so-so", "a")]
    assert ids(dest / "input0") == sorted([word, "a"])
    assert loaded(dest, "test", classes=3) == [("bad", f"{word} </s>")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_text_of_another_encoding_is_told_with_the_remedy(refused, encoding):
    text = "good\tcafé\nbad\tcafé".encode(encoding)
    message = refused("tsv", {**TSV_FILES, "train.tsv": [text]})
    assert message.endswith("or the --encoding that they are in (now utf-8)")


@pytest.mark.parametrize("encoding", ["latin-0", "rot13", "undefined"])
def test_encodings_that_cannot_be(refused, encoding):
    message = refused("tsv", TSV_FILES, "--encoding", encoding)
    assert message == f"error: --encoding {encoding}: unknown, or none of text"


def test_text_that_is_not_in_its_encoding(tmp_path, refused):
    message = refused("tsv", TSV_FILES, "--encoding", "utf-16")
    assert message.startswith(f"error: {tmp_path}/source/train.tsv: not utf-16 text (")


@pytest.mark.parametrize("empty", SPLITS)
@pytest.mark.parametrize("options", [(), ("--skip-bad-rows",)])
def test_an_empty_part_is_told_as_such(refused, empty, options):
    message = refused("tsv", {**TSV_FILES, f"{empty}.tsv": []}, *options)
    assert message == f"has no row to use for {empty}"


def test_bad_rows_of_training_alone_are_told_where_none_is_valid(refused, capsys):
    assert "bad rows: 2;" in refused("tsv", {**TSV_FILES, "train.tsv": ["good", "bad"]})
    assert "unknown label" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, words, threshold, most", [(("--threshold", "5"), "a day", 5, 3), ((), "<unk>", 1, 0)]
)
def test_dictionary_without_words(refused, options, words, threshold, most):
    files = {name: [f"good\t{words}"] * 3 for name in TSV_FILES}
    files["train.tsv"][0] = f"bad\t{words}"
    assert refused("tsv", files, *options) == (
        f"error: --threshold {threshold}: no word of the training part occurs more than {most}"
        " times"
    )


def test_failure_of_fairseq_leaves_nothing_but_what_it_said(tmp_path, monkeypatch, capfd):
    source = write_folder(tmp_path / "source", TSV_FILES)

    def fail():
        print("no space left")
        sys.exit(1)

    monkeypatch.setattr(preprocess, "cli_main", fail)
    with pytest.raises(subprocess.CalledProcessError):
        main(["prepare", "tsv", "--from", str(source), "--dest", str(tmp_path / "data")])
    assert capfd.readouterr().err == "no space left\n"
    assert os.listdir(tmp_path) == ["source"]
