"""From text through prepare and training to what the commands on a checkpoint show of it."""

import json

import pytest

from fairseq_lstmn.cli import main
from tests.fairseq_commands import PLUGIN, monolingual_data, run

TRAINING = (
    "--user-dir", PLUGIN, "--optimizer", "adam", "--lr", 0.01, "--max-update", 2, "--cpu",
    "--num-workers", 0, "--no-epoch-checkpoints", "--batch-size", 4,
)  # fmt: skip
ROWS = ("good\tA fine Day", "bad\tA sad day", "good\tFine", "bad\tSad Sad")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A checkpoint trained on text that prepare has lower-cased."""
    folder = tmp_path_factory.mktemp("classifier")
    for split in ("train", "valid", "test"):
        (folder / f"{split}.tsv").write_text("\n".join(ROWS) + "\n")
    assert main(["prepare", "tsv", "--from", str(folder), "--dest", str(folder / "data")]) == 0
    run(
        "train", folder / "data", *TRAINING, "--task", "sentence_prediction", "--num-classes", 2,
        "--criterion", "sentence_prediction", "--arch", "lstmn_classifier",
        "--encoder-embed-dim", 8, "--encoder-layers", 2, "--save-dir", folder / "model",
    )  # fmt: skip
    return folder / "model" / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    """A checkpoint of a text that nobody recorded how it was made."""
    folder = tmp_path_factory.mktemp("language_model")
    data = monolingual_data(folder)
    run(
        "train", data, *TRAINING, "--task", "language_modeling", "--arch", "lstmn_lm",
        "--tokens-per-sample", 12, "--decoder-embed-dim", 8, "--decoder-out-embed-dim", 8,
        "--save-dir", folder / "model",
    )  # fmt: skip
    return folder / "model" / "checkpoint_last.pt"


def attention(*arguments):
    return main(["attention", *map(str, arguments)])


def refused(*arguments):
    """The message of a command that refuses its arguments."""
    with pytest.raises(SystemExit) as exit:
        attention(*arguments)
    return exit.value.code


def lines(folder):
    return json.loads((folder / "attention.json").read_text(encoding="utf-8"))["lines"]


def test_text_is_read_as_in_training_and_shown_as_written(classifier, tmp_path, capsys):
    shown = []
    for name, text in (("a", "A FINE Day zzz"), ("b", "a fine day zzz")):
        dest = tmp_path / name
        assert attention(classifier, "--text", text, "--dest", dest, "--cpu") == 0
        assert {path.name for path in dest.iterdir()} == {"attention.html", "attention.json"}
        shown += lines(dest)
    upper, lower = shown
    assert upper["texts"]["text"] == ["A", "FINE", "Day", "zzz", "</s>"]
    assert upper["unknown"] == lower["unknown"] == {"text": [3]}
    assert upper["maps"] == lower["maps"] and upper["probabilities"] == lower["probabilities"]
    assert [attended["layer"] for attended in upper["maps"]] == [1, 2]
    assert "unknown to it" not in capsys.readouterr().err


def test_predict_reads_text_as_in_training(classifier, tmp_path, capsys):
    (tmp_path / "text").write_text("A Fine DAY\na fine day\n")
    assert main(["predict", str(classifier), str(tmp_path / "text")]) == 0
    printed = capsys.readouterr()
    _, upper, lower = printed.out.splitlines()[-3:]
    assert upper == lower and "unknown to it" not in printed.err


def test_without_a_record_unknown_words_are_said(language_model, tmp_path, capsys):
    (tmp_path / "text").write_text("a B c D\n")
    assert attention(language_model, tmp_path / "text", "--dest", tmp_path / "out") == 0
    assert "2 of 4 words are unknown to it, of which 2 would be known" in capsys.readouterr().err
    assert lines(tmp_path / "out")[0]["texts"]["text"] == ["</s>", "a", "B", "c", "D"]


def test_bad_lines_are_said_and_the_others_drawn(language_model, tmp_path, capsys):
    (tmp_path / "text").write_bytes(b"a b\n\n\xff\nc\td\ne f g\n")
    arguments = "--dest", tmp_path / "out", "--format", "json,svg", "--limit", 1
    assert attention(language_model, tmp_path / "text", *arguments) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("INFO")]
    assert errors == [
        "line 2: empty sentence",
        "line 3: not UTF-8 text",
        "line 4: 2 sentences separated by TAB, but the model reads 1",
        "The first 1 of 5 lines are drawn (--limit 1)",
    ]
    assert [line.get("error") is None for line in lines(tmp_path / "out")] == [
        *(True, False, False, False, True)
    ]
    assert len(list((tmp_path / "out").glob("0001-*.svg"))) == 3


def test_a_summary(language_model, tmp_path):
    (tmp_path / "text").write_text("a b c a b\nd e d e\n")
    assert attention(language_model, tmp_path / "text", "--summary", "--dest", tmp_path / "s") == 0
    result = json.loads((tmp_path / "s" / "summary.json").read_text(encoding="utf-8"))
    assert result["lines"] == 2 and len(result["repeated words"]) == 3


def test_what_is_refused_is_named_and_nothing_is_left(language_model, tmp_path):
    there, dest = tmp_path / "there", tmp_path / "dest"
    there.mkdir()
    text = "--text", "a b"
    for arguments, complaint in (
        ((*text, "--dest", there), f"--dest {there}: exists already"),
        ((*text, "--dest", dest, "--layer", 2), "--layer 2: the model has 1"),
        ((*text, "--dest", dest, "--layer", 0), "--layer 0: must be 1 or more"),
        ((*text, "--dest", dest, "--limit", 0), "--limit 0: must be 1 or more"),
        ((*text, "--dest", dest, "--format", "pdf"), "--format pdf: must be of html,json,png,svg"),
        ((*text, "--dest", dest, "--summary", "--format", "html"), "must be of json,png,svg"),
        ((*text, there, "--dest", dest), "--text a b: not together with INPUT"),
        ((there / "absent", "--dest", dest), "absent: cannot be read"),
        (("/dev/null", "--dest", dest), "INPUT: has no line"),
    ):
        assert complaint in refused(language_model, *arguments)
    assert "cannot be loaded" in refused(tmp_path / "no.pt", *text, "--dest", dest)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
