"""Runs: the commands of every model and seed, what makes a run another one, how far it is."""

import json
from pathlib import Path

import pytest

from fairseq_lstmn.compare.report import results
from fairseq_lstmn.compare.run.status import RunStatus
from tests.compare.test_training_log import DONE, valid


def argument(command, option):
    return command[command.index(option) + 1]


def test_every_model_is_trained_with_every_seed_under_the_same_options(all_runs):
    runs = all_runs()
    assert [run.name for run in runs] == [
        "lstm, seed 1",
        "lstmn, seed 1",
        "lstm, seed 2",
        "lstmn, seed 2",
    ]
    for run in runs:
        command = run.train.command
        assert command[0] == "fairseq-train" and "--cpu" in command
        assert argument(command, "--seed") == str(run.seed)
        assert argument(command, "--save-dir") == str(run.folder)
        assert argument(command, "--lr") == "0.01"
        assert Path(argument(command, "--user-dir")).name == "fairseq_lstmn"
    assert argument(runs[1].train.command, "--arch") == "lstmn_lm"


def test_the_best_checkpoint_by_validation_is_scored_on_the_test_set(all_runs):
    for run in all_runs(score={"batch-size": 3}):
        command = run.score.command
        assert command[0] == "fairseq-eval-lm" and "--output-word-probs" in command
        assert argument(command, "--path") == str(run.folder / "checkpoint_best.pt")
        assert argument(command, "--gen-subset") == "test"
        # what the training shares, and what the plan says for the scoring
        assert argument(command, "--tokens-per-sample") == "20"
        assert argument(command, "--batch-size") == "3"
        assert "--lr" not in command and "--max-update" not in command


CACHE = {"neural-cache": 9, "cache-tune": "valid"}


def test_a_training_is_scored_with_a_cache_and_without(runs):
    models = {
        "cached": {"arch": "lstm_lm", **CACHE},
        "lstm": {"arch": "lstm_lm"},
        "lstmn": {"arch": "lstmn_lm"},
        "lstmn-cache": {"arch": "lstmn_lm", **CACHE},
    }
    made = runs({"decoder-hidden-size": 150}, models=models, match="parameters", seeds=[3])
    chosen = made.of_all_seeds(made.tuned())
    for with_cache, without in ((chosen[0], chosen[1]), (chosen[3], chosen[2])):
        assert with_cache.train == without.train and with_cache.folder == without.folder
        assert "--neural-cache" not in [*with_cache.train.command, *without.score.command]
        assert argument(with_cache.score.command, "--neural-cache") == "9"
        assert argument(with_cache.score.command, "--cache-tune") == "valid"
        assert with_cache.score.log != without.score.log
    parameters = made.experiment.parameters
    assert parameters["cached"] == parameters["lstm"]
    assert parameters["lstmn-cache"] == parameters["lstmn"]
    assert made.experiment.chosen["lstmn-cache"] == made.experiment.chosen["lstmn"] != {}


RECALL = {"task": "recall", "pairs": 2, "num-keys": 4, "tokens-per-sample": False}


def test_a_task_that_makes_its_data_is_compared_without(runs):
    train = {**RECALL, "criterion": "label_smoothed_cross_entropy", "report-accuracy": True}
    made = runs(train, data=None, metrics=["accuracy", "perplexity"])
    assert made.experiment.subsets == {"train": "train", "valid": "valid", "test": "test"}
    for run in made.of_all_seeds(made.tuned()):
        assert run.train.command[:2] == ["fairseq-train", "--user-dir"]
        assert run.score.command[2:4] == ["fairseq_lstmn.compare.kinds.validate", "--user-dir"]
        assert argument(run.score.command, "--valid-subset") == "test"
        assert argument(run.score.command, "--num-keys") == "4"
        assert argument(run.score.command, "--criterion") == "label_smoothed_cross_entropy"


def test_a_model_may_start_its_vectors_in_a_way_of_its_own(all_runs):
    own = {"lstm": {"arch": "lstm_lm", "embed-std": 1}}
    run, _ = all_runs(RECALL, data=None, metrics=["accuracy"], models=own)
    assert argument(run.train.command, "--embed-std") == "1"


def test_models_named_by_numbers_have_names(all_runs):
    assert all_runs(models={300: {"arch": "lstm_lm"}}, baseline=300)[0].name == "300, seed 1"


# what makes a run


def test_equal_runs_have_one_folder_and_others_another(all_runs):
    folder = all_runs()[0].folder
    assert all_runs()[0].folder == folder
    assert all_runs(seeds=[1])[0].folder == folder
    assert all_runs({"lr": 0.02})[0].folder != folder
    assert all_runs()[2].folder != folder


@pytest.mark.parametrize(
    "same", [{"lr": "0.01"}, {"lr": [0.01]}, {"fp16": False}], ids=["text", "list", "no flag"]
)
def test_another_spelling_of_the_same_options_is_the_same_run(all_runs, same):
    assert all_runs(same)[0].folder == all_runs()[0].folder


def test_a_change_of_the_scoring_trains_nothing_anew(all_runs):
    one, other = (all_runs(score=score)[0] for score in ({}, {"batch-size": 2}))
    assert one.folder == other.folder and one.score.log != other.score.log


def test_the_data_are_part_of_what_makes_a_run(all_runs, data):
    before = all_runs()[0].folder
    text = Path(data, "train.bin")
    content = text.read_bytes()
    try:
        text.write_bytes(content[:-2] + bytes([content[-2] ^ 1, content[-1]]))
        assert all_runs()[0].folder != before
    finally:
        text.write_bytes(content)


def test_files_that_options_name_are_part_of_what_makes_a_run(
    runs, all_runs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # also of a file named without a folder
    vectors, train = Path("vectors.txt"), {"decoder-embed-path": "vectors.txt"}

    def tried():
        return runs(tune={"decoder-embed-path": ["vectors.txt"]}).of_trials()[0].folder

    vectors.write_text("".join(f"{word} {' '.join(['0.5'] * 8)}\n" for word in "abcdefghijklmnop"))
    before = all_runs(train)[0].folder
    assert all_runs(train)[0].folder == before == tried()
    vectors.write_text(vectors.read_text().replace("0.5", "0.6"))
    assert all_runs(train)[0].folder != before != tried()


def test_the_code_of_a_users_own_plugin_is_part_of_a_run(all_runs, tmp_path):
    plugin = tmp_path / "own_plugin"
    plugin.mkdir()
    folders = []
    for width in (1, 2):
        (plugin / "__init__.py").write_text(f"WIDTH = {width}\n")
        folders.append(all_runs({"user-dir": str(plugin)})[0].folder)
    assert folders[0] != folders[1]


# how far it is


def write_training(run, log, status=None, best=True):
    """What a training leaves in its folder."""
    run.folder.mkdir(parents=True, exist_ok=True)
    run.train.log.write_text(log)
    if best:
        run.best_checkpoint.touch()
    if status is not None:
        run.train.usage_path.write_text(json.dumps({"status": status, "seconds": 1}))


def test_trials_are_the_same_runs_as_those_with_what_they_choose(runs):
    made = runs(tune={"dropout": [0.1, 0.3]})
    trials = made.trials()
    assert made.tuned() == {"lstm": None, "lstmn": None} and made.of_all_seeds(made.tuned()) == []
    chosen = made.of_all_seeds({model: {"dropout": 0.3} for model in trials})
    assert chosen[:2] == [trials[model][1][1] for model in ("lstm", "lstmn")]
    assert chosen[0].name == "lstm, seed 1, dropout 0.3"


def test_a_trial_that_diverged_is_not_chosen(runs):
    made = runs(models={"lstm": {"arch": "lstm_lm"}}, tune={"lr": [9.0, 0.01]})
    diverged, fine = made.of_trials()
    write_training(diverged, valid(2, loss="nan") + DONE)
    write_training(fine, valid(2, loss=3.0) + DONE)
    assert made.tuned()["lstm"] == {"lr": 0.01}


def test_a_failed_trial_is_told_with_its_reason(runs):
    made = runs(tune={"lr": [0.01, 0.02]})
    for run in made.of_trials():
        write_training(run, "RuntimeError: out of memory\n", status=1, best=False)
    assert any("out of memory" in error for error in results.collect(made)["errors"])


def test_a_training_that_ends_without_its_best_checkpoint_has_a_reason(runs):
    """As with LOGLEVEL=WARNING in the environment, or where the file was lost.

    checkpoint_last.pt says that all is done, so fairseq never writes another checkpoint_best.pt.
    """
    made = runs()
    one, other, *_ = made.of_all_seeds(made.tuned())
    write_training(one, DONE, status=0, best=False)
    write_training(other, valid(2, loss=3.0) + DONE, status=0, best=False)
    for run in (one, other):
        assert "checkpoint_best.pt" in RunStatus(run, made.experiment).error
