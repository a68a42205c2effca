"""Classifiers from end to end: fairseq's own task for sentences, the plugin's for pairs."""

import json
import math
import re
from shutil import copytree, rmtree

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
CLASSES = "--num-classes", 3
TRAINING = (
    "--criterion", "sentence_prediction", "--optimizer", "adam", "--lr", 0.02,
    "--batch-size", 8, "--num-workers", 0, "--log-format", "json", "--log-interval", 1,
    "--best-checkpoint-metric", "accuracy", "--maximize-best-checkpoint-metric",
)  # fmt: skip
ONE_UPDATE = "--max-update", 1
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


def train(data, save_dir, arch, *options, classes=CLASSES, check=True):
    task = PAIR_TASK if "nli" in arch else SENTENCE_TASK
    return run(
        "train", data, *USER_DIR, *task, "--arch", arch, "--save-dir", save_dir, *TRAINING,
        *classes, *options, check=check,
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
        tmp_path, data, *USER_DIR, *PAIR_TASK, "--arch", "lstmn_nli", *TRAINING, *CLASSES,
        *schedule, "--ddp-backend", "legacy_ddp",
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


@pytest.mark.parametrize("arch", ["lstmn_classifier", "lstmn_nli"])
def test_there_are_as_many_classes_as_labels(data, tmp_path, arch, capsys):
    train(data, tmp_path, arch, *SIZES, "--max-epoch", 1, classes=())
    (tmp_path / "lines").write_text("a b\tc\n" if arch == "lstmn_nli" else "a b\n")
    status, (header, row) = predict(
        capsys, tmp_path / "checkpoint_last.pt", tmp_path / "lines", "--data", data
    )
    assert (status, header.split("\t")) == (0, ["label", *LABELS, "error"])
    assert row.split("\t")[0] in LABELS


@pytest.mark.parametrize("arch", ["lstmn_sst", "lstm_nli"])
@pytest.mark.parametrize("number", [2, 4])
def test_other_numbers_of_classes_are_not_trained(data, tmp_path, arch, number):
    output = train(
        data, tmp_path, arch, *ONE_UPDATE, classes=("--num-classes", number), check=False
    )
    assert output.splitlines()[-1] == (
        f"error: --num-classes {number}: {data}/label/dict.txt has 3 labels ({', '.join(LABELS)})"
    )
    assert not list(tmp_path.iterdir())


def test_models_of_fairseqs_own_are_trained_as_without_the_plugin(data, tmp_path):
    sizes = ("--encoder-layers", 1, "--encoder-attention-heads", 2, "--encoder-embed-dim", 8)
    options = *sizes, "--encoder-ffn-embed-dim", 8, "--max-update", 2
    classes = "--num-classes", 4
    output = train(data, tmp_path, "roberta", *options, classes=classes)
    assert "valid_accuracy" in logged(output, "valid")[-1]
    assert f"--num-classes 4: {data}/label/dict.txt has 3 labels" in output


def test_no_classes_are_none(data, tmp_path):
    output = train(
        data, tmp_path, "lstmn_nli", *ONE_UPDATE, classes=("--num-classes", 0), check=False
    )
    assert output.splitlines()[-1] == "error: --num-classes 0: must be 1 or more"


def test_what_was_trained_with_too_many_is_validated_but_names_no_class(data, pair_model, tmp_path):
    state = torch.load(pair_model, weights_only=False)
    state["cfg"]["task"]["num_classes"] = 4
    [weight, bias] = [name for name in state["model"] if re.search(r"heads.*\.5\.", name)]
    state["model"][weight] = torch.cat([state["model"][weight], torch.zeros(1, 12)])
    state["model"][bias] = torch.cat([state["model"][bias], torch.tensor([-100.0])])
    torch.save(state, tmp_path / "four.pt")
    accuracies = {
        re.search(r"accuracy ([\d.]+)", validate(data, path, PAIR_TASK, "--num-classes", n))[1]
        for path, n in ((pair_model, 3), (tmp_path / "four.pt", 4))
    }
    assert len(accuracies) == 1
    with pytest.raises(SystemExit, match="four.pt: --num-classes 4: .* has 3 labels"):
        main(["predict", str(tmp_path / "four.pt")])


@pytest.mark.parametrize("arch", ["lstmn_classifier", "lstmn_nli"])
def test_a_row_without_a_class_is_told(data, tmp_path, arch):
    copytree(data, tmp_path / "data")
    rows = text(data, "valid.label")
    rows[4] = "unheard-of"
    (tmp_path / "valid.label").write_text("".join(f"{row}\n" for row in rows))
    run(
        "preprocess", "--only-source", "--validpref", tmp_path / "valid.label",
        "--srcdict", data / "label/dict.txt", "--destdir", tmp_path / "label",
    )  # fmt: skip
    for end in ("bin", "idx"):
        (tmp_path / f"label/valid.{end}").replace(tmp_path / f"data/label/valid.{end}")
    output = train(tmp_path / "data", tmp_path / "model", arch, *ONE_UPDATE, check=False)
    assert output.splitlines()[-1] == (
        f"error: {tmp_path}/data/label/valid: row 5 has the label '<unk>', which is none of the 3"
        " classes"
    )


REGRESSION = "--regression-target", "--best-checkpoint-metric", "loss", "--max-epoch", 2


@pytest.fixture
def numbers(data, tmp_path):
    """The sentences with a number each, and no labels."""
    for part in ("input0", "input1"):
        copytree(data / part, tmp_path / "numbers" / part)
    (tmp_path / "numbers/label").mkdir()
    for split, count in SPLITS.items():
        lines = "".join(f"{k % 5 / 2 - 4}\n" for k in range(count))
        (tmp_path / f"numbers/label/{split}.label").write_text(lines)
    return tmp_path / "numbers"


@pytest.mark.parametrize(
    "arch, classes", [("lstmn_classifier", ("--num-classes", 1)), ("lstmn_nli", ())]
)
def test_regression_is_answered_with_its_number(data, numbers, tmp_path, capsys, arch, classes):
    minimised = [option for option in TRAINING if option != "--maximize-best-checkpoint-metric"]
    pairs = arch == "lstmn_nli"
    if not pairs:
        rmtree(numbers / "input1")
    task = PAIR_TASK if pairs else SENTENCE_TASK
    run(
        "train", numbers, *USER_DIR, *task, "--arch", arch, "--save-dir", tmp_path / "m",
        *minimised, *SIZES, *classes, *REGRESSION,
    )  # fmt: skip
    path = tmp_path / "m/checkpoint_last.pt"
    sides = [text(data, f"test.input{side}") for side in range(1 + pairs)]
    (tmp_path / "lines").write_text("".join("\t".join(row) + "\n" for row in zip(*sides)))
    status, (header, *rows) = predict(capsys, path, tmp_path / "lines")
    assert (status, header) == (0, "value\terror")
    values = [float(row.removesuffix("\t")) for row in rows]
    squares = sum((value - (k % 5 / 2 - 4)) ** 2 for k, value in enumerate(values)) / 11
    loss = re.search(r"\| loss ([\d.]+)", validate(numbers, path, task, "--num-classes", 1))
    assert float(loss[1]) == pytest.approx(squares / math.log(2), abs=2e-3)
    _, lines = predict(capsys, path, tmp_path / "lines", "--format", "json")
    assert [json.loads(line)["value"] for line in lines] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize(
    "lines, options, complaint",
    [
        (["1 2"] + ["1"] * 59, ("--num-classes", 1), "train.label: line 1 has 2 numbers, but"),
        (["1"] * 59 + ["high"], (), "train.label: line 60: high: is no number"),
        (["1"] * 59, (), "the subset 'train' has not as many rows in each of its input and label"),
        (["1"] * 60, ("--report-per-class",), "--report-per-class: not with --regression-target"),
    ],
)
def test_regression_without_its_numbers_ends_in_one_line(
    numbers, tmp_path, lines, options, complaint
):
    (numbers / "label/train.label").write_text("".join(f"{line}\n" for line in lines))
    output = train(
        numbers, tmp_path / "m", "lstmn_nli", *REGRESSION, classes=options, check=False
    )  # fmt: skip
    assert complaint in output.splitlines()[-1] and "Traceback" not in output


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


def test_a_header_can_be_left_out_and_bad_lines_are_counted(pair_model, tmp_path, capsys):
    (tmp_path / "pairs").write_text("a b\tc\nb\nzzz zz\tzzzz\nzzz a\tz\n")
    for options in ((), ("--no-header",)):
        assert main(["predict", str(pair_model), str(tmp_path / "pairs"), *options]) == 1
        out, err = capsys.readouterr()
        rows = [row.split("\t") for row in out.splitlines()]
        assert (rows[0] == ["label", *LABELS, "error"]) == (not options)
        first, bad, strange, known = rows[-4:]
        assert len(rows) == 4 + (not options)
        assert bad[:-1] == [""] * 4 and "separated by TAB" in bad[-1]
        assert strange[0] in LABELS and strange[-1] == "every word is unknown to the model"
        assert first[-1] == known[-1] == ""
        assert err.splitlines()[:2] == [
            f"{tmp_path}/pairs: 1 of 4 lines have no answer",
            f"{tmp_path}/pairs: 1 of 4 lines have no word that the model knows",
        ]
    main(["predict", str(pair_model), str(tmp_path / "pairs"), "--format", "json"])
    warnings = [json.loads(line).get("warning") for line in capsys.readouterr().out.splitlines()]
    assert warnings == [None, None, "every word is unknown to the model", None]


def test_data_of_another_folder_is_asked_for(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(data.parent)
    train("bin", tmp_path, "lstmn_nli", *SIZES, "--max-epoch", 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs").write_text("a b\tc\n")
    with pytest.raises(SystemExit) as error:
        main(["predict", "checkpoint_last.pt", "pairs"])
    assert error.value.code == (
        "error: checkpoint_last.pt: its data are not here (bin/input0/dict.txt: no such file);"
        " --data DIR names the folder where its dictionaries are now"
    )
    assert predict(capsys, "checkpoint_last.pt", "pairs", "--data", data)[0] == 0
