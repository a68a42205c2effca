"""Classifiers from end to end: fairseq's own task for sentences, the plugin's for pairs."""

import json
import re

import pytest
import torch
import yaml
from fairseq.data import Dictionary

from fairseq_lstmn.cli import main
from tests.fairseq_commands import (
    LETTERS,
    PLUGIN,
    logged,
    run,
    run_together,
    two_processes,
    write_sentences,
)

USER_DIR = ("--user-dir", PLUGIN)
SIZES = "--encoder-embed-dim", 8, "--encoder-hidden-size", 12, "--dropout", 0
PAIR_TASK = "--task", "sentence_pair_prediction"
SENTENCE_TASK = "--task", "sentence_prediction"
TRAINING = (
    "--num-classes", 3, "--criterion", "sentence_prediction", "--optimizer", "adam", "--lr", 0.02,
    "--batch-size", 8, "--num-workers", 0, "--log-format", "json", "--log-interval", 1,
    "--best-checkpoint-metric", "accuracy", "--maximize-best-checkpoint-metric",
)  # fmt: skip
SPLITS = dict(train=60, valid=11, test=11)
EMBEDDING = "words.embed_tokens.weight"  # in a checkpoint
LABELS = "contradiction", "entailment", "neutral"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pairs whose label is in their premise's first letter; sentence_prediction's layout."""
    folder = tmp_path_factory.mktemp("reading")
    for split, count in SPLITS.items():
        for part in ("input0", "input1"):
            write_sentences(folder / f"{split}.{part}", count)
        premises = (folder / f"{split}.input0").read_text().splitlines()
        labels = [LABELS[ord(premise[0]) % 3] for premise in premises]
        (folder / f"{split}.label").write_text("".join(f"{label}\n" for label in labels))
    (folder / "labels.txt").write_text("".join(f"{label} 1\n" for label in LABELS))
    for part, words in {
        "input0": None,
        "input1": "bin/input0/dict.txt",
        "label": "labels.txt",
    }.items():
        texts = [f"--{split}pref={folder / split}.{part}" for split in ("train", "valid", "test")]
        given = ["--srcdict", folder / words] if words else []
        run("preprocess", "--only-source", *texts, *given, "--destdir", folder / "bin" / part)
    return folder / "bin"


def train(data, save_dir, arch, *options, check=True):
    task = PAIR_TASK if "nli" in arch else SENTENCE_TASK
    return run(
        "train", data, *USER_DIR, *task, "--arch", arch, "--save-dir", save_dir, *TRAINING,
        *options, check=check,
    ).stdout  # fmt: skip


def validate(data, path, task, *options):
    return run(
        "validate", data, *USER_DIR, *task, "--criterion", "sentence_prediction", "--path", path,
        "--num-classes", 3, "--valid-subset", "test", "--batch-size", 4, "--num-workers", 0,
        *options,
    ).stdout  # fmt: skip


@pytest.mark.parametrize(
    "arch, options",
    [
        ("lstmn_classifier", SIZES),
        ("lstm_classifier", SIZES),
        ("tcnn_classifier", SIZES),
        ("lstmn_sst_2layer", ()),
        ("lstmn_nli", SIZES),
        ("lstmn_nli_deep_100", ()),
        ("lstmn_nli_deep_100", ("--memory-efficient-fp16",)),
        ("lstmn_nli_shallow_100", ("--separate-readers",)),
        ("lstm_nli", SIZES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_trains_and_is_validated(data, tmp_path, arch, options):
    output = train(data, tmp_path, arch, *options, "--max-epoch", 4, "--no-epoch-checkpoints")
    losses = [float(entry["train_loss"]) for entry in logged(output, "train")]
    assert losses[-1] < losses[0]
    assert "valid_best_accuracy" in logged(output, "valid")[-1]
    task = PAIR_TASK if "nli" in arch else SENTENCE_TASK
    accuracy = re.search(
        r"accuracy ([\d.]+)", validate(data, tmp_path / "checkpoint_best.pt", task)
    )
    assert 0 <= float(accuracy.group(1)) <= 100


@pytest.fixture(scope="module")
def pair_model(data, tmp_path_factory):
    """A checkpoint of a model of pairs that has seen some."""
    folder = tmp_path_factory.mktemp("pair_model")
    train(data, folder, "lstmn_nli", *SIZES, "--attention-fusion", "deep", "--max-epoch", 1)
    return folder / "checkpoint_last.pt"


def test_every_class_is_reported(data, pair_model):
    output = validate(data, pair_model, PAIR_TASK, "--report-per-class", "--log-format", "json")
    [report] = logged(output, "test")
    rows = [report[f"test_{label} taken for"] for label in LABELS]
    counts = [[int(count) for count in re.findall(r"\d+", row)] for row in rows]
    assert sum(map(sum, counts)) == 11
    right = sum(counts[k][k] for k in range(3))
    assert float(report["test_accuracy"]) == pytest.approx(100 * right / 11, abs=0.1)
    for k, label in enumerate(LABELS):
        taken, there = sum(row[k] for row in counts), sum(counts[k])
        expected = {
            "precision": counts[k][k] / taken if taken else 0,
            "recall": counts[k][k] / there if there else 0,
            "F1": 2 * counts[k][k] / (taken + there) if taken + there else 0,
        }
        for name, share in expected.items():
            assert float(report[f"test_{name} {label}"]) == pytest.approx(100 * share, abs=0.1)


@pytest.fixture
def schedule(tmp_path):
    """Options that leave pretrained rows, those of a to e, alone in the first of two epochs."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text(
        "".join(f"{letter} {'0.1 ' * 7}{k / 20}\n" for k, letter in enumerate("abcde"))
    )
    return (
        *SIZES, "--encoder-embed-path", vectors, "--first-epoch-scale", 0, "--unknown-embed-std", 1,
        "--dropout", 0, "--max-epoch", 2,
    )  # fmt: skip


def test_two_processes_leave_pretrained_rows_alone_in_the_first_epoch(data, tmp_path, schedule):
    commands = two_processes(
        tmp_path, data, *USER_DIR, *PAIR_TASK, "--arch", "lstmn_nli", *TRAINING, *schedule,
        "--ddp-backend", "legacy_ddp",
    )  # fmt: skip
    output = run_together(commands)[0]
    assert "training on 2 devices" in output
    words = Dictionary.load(str(data / "input0" / "dict.txt"))
    rows = [words.index(letter) for letter in "abcde"]
    expected = torch.tensor([[0.1] * 7 + [k / 20] for k in range(5)])
    first, second = (
        torch.load(tmp_path / f"checkpoint{epoch}.pt", weights_only=False)["model"][EMBEDDING][rows]
        for epoch in (1, 2)
    )
    assert torch.equal(first, expected)
    assert (second != expected).all(dim=1).all()


def test_resuming_in_the_first_epoch_repeats_the_uninterrupted_run(data, tmp_path, schedule):
    options = *schedule, "--save-interval-updates", 3
    whole = logged(train(data, tmp_path / "whole", "lstmn_nli", *options), "train_inner")
    restore = "--restore-file", tmp_path / "whole" / "checkpoint_1_3.pt"
    again = train(data, tmp_path / "again", "lstmn_nli", *options, *restore)
    resumed = logged(again, "train_inner")
    assert len(resumed) == len(whole) - 3
    assert [entry["loss"] for entry in resumed] == [entry["loss"] for entry in whole[3:]]


def test_a_trained_model_no_longer_needs_the_file_of_vectors(data, tmp_path, schedule):
    train(data, tmp_path, "lstmn_nli", *schedule, "--max-update", 1)
    (tmp_path / "vectors.txt").unlink()
    assert "| accuracy" in validate(data, tmp_path / "checkpoint_last.pt", PAIR_TASK)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (("--shorten-method", "truncate"), "--shorten-method truncate"),
        (("--encoder-hidden-size", 0), "--encoder-hidden-size 0"),
    ],
)
def test_bad_options_end_in_one_line(data, tmp_path, options, complaint):
    output = train(data, tmp_path, "lstmn_nli", *options, check=False)
    assert complaint in output.strip().splitlines()[-1]
    assert "Traceback" not in output


def predict(capsys, *arguments):
    """The status and the lines that ``fairseq-lstmn predict`` prints."""
    status = main(["predict", *map(str, arguments)])
    return status, capsys.readouterr().out.splitlines()


def test_predictions_are_what_validation_counts(data, pair_model, tmp_path, capsys):
    lines = [f"{a}\t{b}" for a, b in zip(*(text(data, f"test.input{side}") for side in (0, 1)))]
    (tmp_path / "pairs").write_text("\n".join(lines))
    status, (header, *rows) = predict(capsys, pair_model, tmp_path / "pairs", "--batch-size", 4)
    assert status == 0
    assert header.split("\t") == ["label", *LABELS, "error"]
    taken = []
    for row in rows:
        label, *probabilities, error = row.split("\t")
        assert sum(map(float, probabilities)) == pytest.approx(1, abs=2e-4)  # four decimals
        assert label == LABELS[max(range(3), key=lambda k: float(probabilities[k]))]
        assert error == ""
        taken.append(label)
    right = sum(a == b for a, b in zip(taken, text(data, "test.label")))
    accuracy = re.search(r"accuracy ([\d.]+)", validate(data, pair_model, PAIR_TASK)).group(1)
    assert float(accuracy) == pytest.approx(100 * right / 11, abs=0.1)


def text(data, name):
    return (data.parent / name).read_text().splitlines()


def test_lines_that_cannot_be_read_are_answered_in_their_place(pair_model, tmp_path, capsys):
    lines = b"a b\tc\n", b"a b\n", b"\tc\n", b"\xff\tc\n", b"a b\tc"
    (tmp_path / "pairs").write_bytes(b"".join(lines))
    status, rows = predict(capsys, pair_model, tmp_path / "pairs", "--format", "json")
    assert status == 1
    first, *wrong, last = map(json.loads, rows)
    assert first == last and set(first["probabilities"]) == set(LABELS)
    assert [answer["error"] for answer in wrong] == [
        "1 sentences separated by TAB, but the model reads 2",
        "empty sentence",
        "not UTF-8 text",
    ]


@pytest.fixture(scope="module")
def long_rows(tmp_path_factory):
    """Prepared sentences of two classes, one of 600 words in each part; what was said of them."""
    folder = tmp_path_factory.mktemp("long")
    for split, count in SPLITS.items():
        rows = [f"{'ab'[k % 2]}\t{' '.join(LETTERS[k % 9 :])}\n" for k in range(count - 1)]
        (folder / f"{split}.tsv").write_text("".join([*rows, f"a\t{'a ' * 600}\n"]))
    assert main(["prepare", "tsv", "--from", str(folder), "--dest", str(folder / "data")]) == 0
    return folder / "data"


def test_a_row_of_any_length_is_read(long_rows, tmp_path, capsys):
    two = *SIZES, "--num-classes", 2, "--max-epoch", 1
    output = train(long_rows, tmp_path, "lstmn_classifier", *two)
    assert "invalid sizes" not in output
    assert float(logged(output, "train")[0]["train_bsz"]) * 8 == 60  # all in 8 batches
    path = tmp_path / "checkpoint_best.pt"
    validate(long_rows, path, SENTENCE_TASK, "--num-classes", 2)
    (tmp_path / "lines").write_text("a " * 700)
    status, [_, answer] = predict(capsys, path, tmp_path / "lines")
    assert status == 0 and answer.split("\t")[0] in ("a", "b")


def test_a_limit_that_is_set_holds(long_rows, tmp_path):
    two = *SIZES, "--num-classes", 2, "--max-epoch", 1, "--max-positions", 512
    output = train(long_rows, tmp_path, "lstmn_classifier", *two, check=False)
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: valid: Size of sample #10 is invalid (=601)")
    assert last.endswith("skip this example with --skip-invalid-size-inputs-valid-test; "
                         "see --max-positions 512")  # fmt: skip
    assert not list(tmp_path.glob("*.pt"))


def test_a_comparison_looks_for_rows_beyond_a_limit_before_it_trains(long_rows, tmp_path):
    plan = {
        "data": str(long_rows),
        "train": {
            **{"task": "sentence_prediction", "criterion": "sentence_prediction"},
            **{"num-classes": 2, "batch-size": 8, "max-update": 1, "encoder-embed-dim": 8},
            **{"optimizer": "adam", "max-positions": 512, "cpu": True},
        },
        "score": {"metric": "accuracy"},
        "models": {"lstm": {"arch": "lstm_classifier"}, "lstmn": {"arch": "lstmn_classifier"}},
        "baseline": "lstm",
        "seeds": [1],
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(SystemExit) as exit:
        main(["compare", str(tmp_path / "plan.yaml"), "--dest", str(tmp_path / "dest")])
    assert exit.value.code == (
        "error: models.lstm: 1 of 11 examples of 'valid' are longer than max_positions=512;"
        " see --max-positions 512, or leave them out by skip-invalid-size-inputs-valid-test"
    )
    assert not (tmp_path / "dest").exists()


def test_what_cannot_predict_is_named(pair_model, tmp_path):
    for arguments, complaint in (
        ((tmp_path / "absent.pt", pair_model), "absent.pt: cannot be loaded"),
        ((pair_model, tmp_path / "absent"), "absent: cannot be read"),
        ((pair_model, pair_model, "--batch-size", 0), "--batch-size 0"),
    ):
        with pytest.raises(SystemExit, match=complaint):
            main(["predict", *map(str, arguments)])
