"""What fairseq itself would refuse is said before anything runs; sizes are matched."""

from collections import Counter
from pathlib import Path

import pytest

from fairseq_lstmn.compare.kinds import words
from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.errors import InputError
from tests.fairseq_commands import monolingual_data

TRAIN = {
    "task": "language_modeling",
    "tokens-per-sample": 20,
    "batch-size": 8,
    "optimizer": "adam",
    "lr": 0.01,
    "max-update": 2,
    "cpu": True,
    "decoder-embed-dim": 8,
    "decoder-out-embed-dim": 8,
    "decoder-hidden-size": 8,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(monolingual_data(tmp_path_factory.mktemp("text")))


@pytest.fixture
def compared(data, tmp_path):
    """Makes a Comparison of a plan with changes; ``train`` adds to the options of all."""

    def make(train=None, **changes):
        found = {
            "data": data,
            "metrics": ["perplexity"],
            "score": {},
            "models": {"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}},
            "baseline": "lstm",
            "seeds": [1, 2],
            **changes,
        }
        return Experiment(Plan(train={**TRAIN, **(train or {})}, **found), tmp_path / "dest")

    return make


def runs(experiment):
    return experiment.runs(experiment.tuned())


def argument(command, option):
    return command[command.index(option) + 1]


def test_every_model_is_trained_with_every_seed_under_the_same_options(compared):
    found = runs(compared())
    assert [run.name for run in found] == [
        "lstm, seed 1",
        "lstmn, seed 1",
        "lstm, seed 2",
        "lstmn, seed 2",
    ]
    for run in found:
        command = run.train.command
        assert command[0] == "fairseq-train" and "--cpu" in command
        assert argument(command, "--seed") == str(run.seed)
        assert argument(command, "--save-dir") == str(run.folder)
        assert argument(command, "--lr") == "0.01"
        assert Path(argument(command, "--user-dir")).name == "fairseq_lstmn"
    assert argument(found[1].train.command, "--arch") == "lstmn_lm"


def test_the_best_checkpoint_by_validation_is_scored_on_the_test_set(compared):
    for run in runs(compared(score={"batch-size": 3})):
        command = run.score.command
        assert command[0] == "fairseq-eval-lm" and "--output-word-probs" in command
        assert argument(command, "--path") == str(run.folder / "checkpoint_best.pt")
        assert argument(command, "--gen-subset") == "test"
        # what the training shares, and what the plan says for the scoring
        assert argument(command, "--tokens-per-sample") == "20"
        assert argument(command, "--batch-size") == "3"
        assert "--lr" not in command and "--max-update" not in command


def test_equal_runs_have_one_folder_and_others_another(compared, data, monkeypatch):
    folder = runs(compared())[0].folder
    assert runs(compared())[0].folder == folder
    assert runs(compared(seeds=[1]))[0].folder == folder
    assert runs(compared(train={"lr": 0.02}))[0].folder != folder
    assert runs(compared())[2].folder != folder


def test_a_change_of_the_scoring_trains_nothing_anew(compared):
    one, other = (runs(compared(score=score))[0] for score in ({}, {"batch-size": 2}))
    assert one.folder == other.folder and one.score.log != other.score.log


def test_trials_are_the_same_runs_as_those_with_what_they_choose(compared):
    experiment = compared(tune={"dropout": [0.1, 0.3]})
    trials = experiment.trials()
    assert experiment.tuned() == {"lstm": None, "lstmn": None} and runs(experiment) == []
    chosen = {model: {"dropout": 0.3} for model in trials}
    final = experiment.runs(chosen)
    assert [final[0], final[1]] == [trials[model][1][1] for model in ("lstm", "lstmn")]
    assert final[0].name == "lstm, seed 1, dropout 0.3"


def test_hidden_sizes_are_matched_to_the_baselines_parameters(compared):
    sizes = {"decoder-hidden-size": 200}
    models = {"lstm": {"arch": "lstm_lm", **sizes}, "lstmn": {"arch": "lstmn_lm"}}
    experiment = compared(models=models, match="parameters")
    ours, wanted = (experiment.parameters[model].all for model in ("lstmn", "lstm"))
    assert abs(ours - wanted) <= 0.01 * wanted
    size = experiment.chosen["lstmn"]["decoder-hidden-size"]
    assert experiment.chosen["lstm"] == {} and 100 < size < 200
    assert argument(runs(experiment)[1].train.command, "--decoder-hidden-size") == str(size)


def test_parameters_are_those_that_fairseq_trains(compared):
    found = compared().parameters["lstm"]
    words = 24  # 20 letters and four of fairseq's own
    assert found.embeddings == 8 * words
    assert found.others == (4 * 8 * (8 + 8) + 2 * 4 * 8) + (8 * words + words)


RECALL = {"task": "recall", "pairs": 2, "num-keys": 4, "tokens-per-sample": False}


def test_a_task_that_makes_its_data_is_compared_without(compared):
    train = {**RECALL, "criterion": "label_smoothed_cross_entropy", "report-accuracy": True}
    experiment = compared(data=None, train=train, metrics=["accuracy", "perplexity"])
    assert experiment.subsets == {"train": "train", "valid": "valid", "test": "test"}
    for run in runs(experiment):
        assert run.train.command[:2] == ["fairseq-train", "--user-dir"]
        assert run.score.command[2:4] == ["fairseq_lstmn.compare.kinds.validate", "--user-dir"]
        assert argument(run.score.command, "--valid-subset") == "test"
        assert argument(run.score.command, "--num-keys") == "4"


WRONG = {
    "no data": (dict(data=None), "data: is missing (the task language_modeling reads it)"),
    "data for a task that reads none": (dict(train=RECALL), ": the task recall reads none"),
    "a part of no data": (
        dict(train=RECALL, data=None, metrics=["accuracy"], score={"gen-subset": "test2"}),
        "train.task: recall: has no part 'test2'",
    ),
    "a task's own option": (
        dict(train={**RECALL, "pairs": 5}, data=None, metrics=["accuracy"]),
        "models.lstm: --pairs 5: must rise, from 1 on up to --num-keys 4",
    ),
    "a model's own task": (
        dict(
            train=RECALL,
            data=None,
            metrics=["accuracy"],
            models={"lstm": {"arch": "lstm_lm", "pairs": 1}},
        ),
        "models.lstm.pairs: 1: must stand in train, for all",
    ),
    "an option": (
        dict(train={"max-epochs": 3}),
        "max-epochs: unknown option of fairseq's, in models.lstm, with value 3; "
        "is max-epoch meant?",
    ),
    "the option that brings others": (
        dict(train={"ddp-backnd": "no_c10d", "criterin": "adaptive_loss"}),
        "criterin: unknown option of fairseq's, in models.lstm, with value 'adaptive_loss'; "
        "is criterion meant?",
    ),
    "a flag's value by YAML 1.1": (
        dict(train={"cpu": "yes"}),
        "models.lstm.cpu: yes: fairseq takes no value here, but true or false",
    ),
    "an option of another model": (
        dict(models={"lstm": {"arch": "lstm_lm", "distance-bias": 3}}),
        "distance-bias: unknown option of fairseq's, in models.lstm, with value 3",
    ),
    "a value": (
        dict(train={"batch-size": "many"}),
        "models.lstm: argument --batch-size/--max-sentences: invalid int value: 'many'",
    ),
    "an architecture": (
        dict(models={"lstm": {"arch": "lstm_ml"}}),
        "lstm_ml: unknown architecture, in models.lstm.arch; is lstm_lm meant?",
    ),
    "a task": (
        dict(train={"task": "language_modelling"}),
        "language_modelling: unknown task of fairseq's, in models.lstm.task; "
        "is language_modeling meant?",
    ),
    "a metric of other tasks": (
        dict(metrics=["bleu"]),
        "score.metric: bleu: not for the task language_modeling (it has perplexity)",
    ),
    "an option of the scoring": (
        dict(score={"beam": 5}),
        "beam: unknown option of fairseq's, in score, with value 5",
    ),
    "a part of the data": (dict(score={"gen-subset": "test2"}), "has no part 'test2'"),
    "a seed for training": (dict(train={"seed": 3}), "train.seed: 3: is set by compare"),
    "no validation": (
        dict(train={"disable-validation": True}),
        "train.disable-validation: True: is set by compare",
    ),
    "a model's own way to be chosen": (
        dict(models={"lstm": {"arch": "lstm_lm", "best-checkpoint-metric": "ppl"}}),
        "models.lstm.best-checkpoint-metric: ppl: must stand in train, for all",
    ),
    "a model's own data": (
        dict(models={"lstm": {"arch": "lstm_lm", "train-subset": "valid"}}),
        "models.lstm.train-subset: valid: must stand in train, for all",
    ),
    "validation data to try": (
        dict(tune={"valid-subset": ["valid", "test"]}),
        "tune.valid-subset: ['valid', 'test']: must stand in train, for all",
    ),
    "vectors that are not there": (
        dict(train={"decoder-embed-path": "/no/vectors.txt"}),
        "train.decoder-embed-path: /no/vectors.txt: no such file",
    ),
    "another start": (
        dict(models={"lstm": {"arch": "lstm_lm", "restore-file": "other.pt"}}),
        "models.lstm.restore-file: other.pt: is set by compare",
    ),
    "a value to try": (
        dict(tune={"dropout": [0.1, "much"]}),
        "models.lstm, tune: argument --dropout: invalid float value: 'much'",
    ),
    "an option that cannot be built": (
        dict(train={"decoder-hidden-size": -1}),
        "models.lstm: no model can be built of it (RuntimeError: ",
    ),
    "sizes too coarse to match": (
        dict(
            models={"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}}, match="parameters"
        ),
        "match: parameters: models.lstmn has ",
    ),
}


@pytest.mark.parametrize("changes, line", WRONG.values(), ids=WRONG)
def test_what_fairseq_does_not_take_is_one_line(compared, changes, line, tmp_path):
    with pytest.raises(InputError) as error:
        compared(**changes)
    assert line in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "dest").exists()


def test_a_model_may_start_its_vectors_in_a_way_of_its_own(compared):
    own = {"arch": "lstm_lm", "embed-std": 1}
    made = compared(train=RECALL, data=None, metrics=["accuracy"], models={"lstm": own})
    assert "--embed-std 1" in " ".join(runs(made)[0].train.command)


def test_files_that_options_name_are_part_of_what_makes_a_run(compared, tmp_path):
    vectors = tmp_path / "vectors.txt"
    words = "abcdefghijklmnopqrst"
    vectors.write_text("".join(f"{word} {' '.join(['0.5'] * 8)}\n" for word in words))
    train = {"decoder-embed-path": str(vectors)}
    before = runs(compared(train))[0].folder
    assert runs(compared(train))[0].folder == before
    tried = compared(tune={"decoder-embed-path": [str(vectors)]}).trials()["lstm"][0][1].folder
    assert tried == before
    vectors.write_text(vectors.read_text().replace("0.5", "0.6"))
    assert runs(compared(train))[0].folder != before
    assert compared(tune={"decoder-embed-path": [str(vectors)]}).trials()["lstm"][0][1] != tried


def test_words_are_counted_in_the_training_text(data):
    text = Path(data).parent.joinpath("train").read_text().split()
    found = words.counts(f"{data}:{data}", "train")
    text = text + text
    assert {word: count for word, count in found.items() if count and len(word) == 1} == Counter(
        text
    )
    assert found["</s>"] == 120 and found["unheard of"] == 0


def test_the_data_are_part_of_what_makes_a_run(compared, data):
    before = runs(compared())[0].folder
    text = Path(data, "train.bin")
    kept = text.read_bytes()
    try:
        text.write_bytes(kept[:-2] + bytes([kept[-2] ^ 1, kept[-1]]))
        assert runs(compared())[0].folder != before
    finally:
        text.write_bytes(kept)
