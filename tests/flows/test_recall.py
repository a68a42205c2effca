"""Associative recall from end to end: fairseq's commands as a user runs them, without data."""

import pytest

from tests.fairseq_commands import PLUGIN, assert_resuming_repeats, logged, run

TASK = ("--user-dir", PLUGIN, "--task", "recall", "--pairs", "2-4", "--num-keys", 8)
SIZES = ("--decoder-embed-dim", 8, "--decoder-hidden-size", 10, "--decoder-out-embed-dim", 10)
TRAINING = (
    *("--criterion", "label_smoothed_cross_entropy", "--report-accuracy", "--batch-size", 5),
    *("--best-checkpoint-metric", "accuracy", "--maximize-best-checkpoint-metric"),
    *("--train-examples", 40, "--test-examples", 20, "--optimizer", "adam", "--lr", 0.01),
    *("--dropout", 0, "--cpu", "--log-format", "json", "--log-interval", 1),
)


def train(save_dir, *options, arch="lstmn_lm"):
    return run("train", *TASK, "--arch", arch, "--save-dir", save_dir, *SIZES, *TRAINING, *options)


@pytest.mark.parametrize("arch", ["lstm_lm", "lstmn_lm"])
def test_accuracy_is_logged_and_chooses_the_checkpoint(tmp_path, arch):
    output = train(tmp_path, "--max-epoch", 2, arch=arch).stdout
    validated = logged(output, "valid")
    assert [float(entry["valid_total"]) for entry in validated] == [4 * 5] * 2  # answers a batch
    best = max(float(entry["valid_accuracy"]) for entry in validated)
    assert float(validated[-1]["valid_best_accuracy"]) == best
    output = run(
        *("validate", *TASK, "--path", tmp_path / "checkpoint_best.pt", "--batch-size", 5),
        *("--test-examples", 20, "--cpu", "--log-format", "json"),
    ).stdout
    assert float(logged(output, "valid")[-1]["valid_accuracy"]) == best


def test_resuming_repeats_the_uninterrupted_run(tmp_path):
    assert_resuming_repeats(lambda *options: train(*options, "--num-workers", 0).stdout, tmp_path)


def test_a_bad_option_ends_in_one_line(tmp_path):
    result = run("train", *TASK, "--arch", "lstmn_lm", *TRAINING, "--pairs", 9, check=False)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith("error: --pairs 9: must rise")
    assert "Traceback" not in result.stdout
