"""Ways in which a comparison could be unfair, stale or silent: each was one once."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from fairseq_lstmn.cli import main
from fairseq_lstmn.compare.kinds import scoring
from fairseq_lstmn.compare.kinds.items import Tokens
from fairseq_lstmn.compare.plan import plan
from fairseq_lstmn.compare.report import results, scores
from fairseq_lstmn.compare.run import logs
from fairseq_lstmn.compare.run.outcomes import Outcome
from fairseq_lstmn.compare.run.progress import Progress
from fairseq_lstmn.errors import InputError
from tests.compare.test_comparison import TRAIN, compared, data  # noqa: F401

MODELS = {"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}}
VALID = "x | INFO | valid | "
TRAINED = "x | INFO | fairseq_cli.train | done training in 0.1 seconds\n"


def runs(experiment):
    return experiment.runs(experiment.tuned())


def entry(kind, **numbers):
    """A line of a training's log."""
    return f"x | INFO | {kind} | {json.dumps({k: str(v) for k, v in numbers.items()})}\n"


def validated(update, loss, kind="valid"):
    return entry(kind, epoch=1, **{f"{kind}_loss": loss, f"{kind}_num_updates": update})


def saved(update, score):
    """What fairseq logs when it has written a checkpoint that is the best so far."""
    return (
        "x | INFO | fairseq.checkpoint_utils | Saved checkpoint dest/checkpoint_best.pt "
        f"(epoch 1 @ {update} updates, score {score}) (writing took 0.1 seconds)\n"
    )


def write_training(run, log, status=None, best=True):
    """What a training leaves in its folder."""
    run.folder.mkdir(parents=True, exist_ok=True)
    run.train.log.write_text(log)
    if best:
        (run.folder / "checkpoint_best.pt").touch()
    if status is not None:
        run.train.usage_path.write_text(json.dumps({"status": status, "seconds": 1}))


def planned(tmp_path, data, **changes):  # noqa: F811
    plan = {
        "data": data,
        "train": TRAIN,
        "score": {"metric": "perplexity"},
        "models": MODELS,
        "baseline": "lstm",
        "seeds": [1],
        **changes,
    }
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


# honesty


@pytest.mark.parametrize(
    "changes",
    [
        dict(train={"valid-subset": "test"}),
        dict(train={"train-subset": "test"}),
        dict(score={"gen-subset": "valid"}),
        dict(models={**MODELS, "lstmn": {"arch": "lstmn_lm", "valid-subset": "test"}}),
        dict(tune={"valid-subset": ["valid", "test"]}),
    ],
    ids=["valid is test", "train is test", "test is valid", "a model's own", "tuned"],
)
def test_nothing_is_chosen_or_trained_on_what_is_tested(compared, changes):  # noqa: F811
    with pytest.raises(InputError):
        compared(**changes)


@pytest.mark.parametrize(
    "option",
    [
        {"valid-subset": "train"},
        {"train-subset": "valid"},
        {"validate-interval-updates": 1, "save-interval-updates": 1},
        {"max-valid-steps": 1},
        {"tokens-per-sample": 80, "batch-size": 2},
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_model_is_chosen_and_scored_as_the_others_are(compared, option):  # noqa: F811
    with pytest.raises(InputError, match=next(iter(option))):
        compared(models={**MODELS, "lstmn": {"arch": "lstmn_lm", **option}})


def test_a_tuned_option_does_not_change_what_it_is_chosen_by(compared):  # noqa: F811
    # fairseq adds the smoothing to valid_loss, so 0 wins whatever it is worth
    train = {"criterion": "label_smoothed_cross_entropy"}
    with pytest.raises(InputError, match="label-smoothing"):
        compared(train=train, tune={"label-smoothing": [0.0, 0.2]})


def test_a_trial_that_diverged_is_not_chosen(compared):  # noqa: F811
    experiment = compared(models={"lstm": {"arch": "lstm_lm"}}, tune={"lr": [9.0, 0.01]})
    (_, diverged), (_, fine) = experiment.trials()["lstm"]
    write_training(diverged, validated(2, "nan") + TRAINED)
    write_training(fine, validated(2, "3.0") + TRAINED)
    assert experiment.tuned()["lstm"] == {"lr": 0.01}


def test_a_validation_without_a_number_is_never_the_best():
    training = logs.training(validated(2, "nan") + validated(4, "2.0") + validated(6, "1.5"))
    assert training.best("loss", maximize=False) == (6, 1.5)


def test_the_best_update_is_that_of_the_checkpoint_that_is_tested():
    # with save-interval 2 fairseq validates after each epoch and keeps the best of every second
    log = validated(2, "1.0") + validated(4, "1.5") + saved(4, 1.5)
    assert logs.training(log).best("loss", maximize=False)[0] == 4


# what makes a run


def test_a_file_named_without_a_folder_is_part_of_a_run(
    compared,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    monkeypatch.chdir(tmp_path)
    vectors = Path("vectors.txt")
    vectors.write_text(f"a {' '.join(['0.5'] * 8)}\n")
    before = runs(compared({"decoder-embed-path": "vectors.txt"}))[0].folder
    vectors.write_text(f"a {' '.join(['0.6'] * 8)}\n")
    assert runs(compared({"decoder-embed-path": "vectors.txt"}))[0].folder != before


def test_the_code_of_a_users_own_plugin_is_part_of_a_run(compared, tmp_path):  # noqa: F811
    plugin = tmp_path / "attack_plugin"
    plugin.mkdir()
    (plugin / "__init__.py").write_text("WIDTH = 1\n")
    before = runs(compared({"user-dir": str(plugin)}))[0].folder
    (plugin / "__init__.py").write_text("WIDTH = 2\n")
    assert runs(compared({"user-dir": str(plugin)}))[0].folder != before


@pytest.mark.parametrize(
    "same", [{"lr": "0.01"}, {"lr": [0.01]}, {"fp16": False}], ids=["text", "list", "no flag"]
)
def test_another_spelling_of_the_same_options_is_the_same_run(compared, same):  # noqa: F811
    assert runs(compared(same))[0].folder == runs(compared())[0].folder


# failures


def test_a_failed_trial_is_told_with_its_reason(compared):  # noqa: F811
    experiment = compared(tune={"lr": [0.01, 0.02]})
    for model in experiment.trials().values():
        for _, run in model:
            write_training(run, "RuntimeError: out of memory\n", status=1, best=False)
    assert any("out of memory" in error for error in results.collect(experiment)["errors"])


@pytest.mark.parametrize("subset", ["dev", "dev,valid"])
def test_validation_on_a_part_of_another_name_is_read(subset):
    # fairseq logs each part under its own name, and chooses by the first
    log = "".join(
        f'x | INFO | fairseq_cli.train | begin validation on "{part}" subset\n'
        f"{validated(2, 3.0 + number, part)}"
        for number, part in enumerate(subset.split(","))
    )
    training = logs.training(log, subset.split(",")[0])
    assert training.best("loss", maximize=False) == (2, 3.0)


def test_a_training_that_ends_well_without_a_checkpoint_has_a_reason(compared):  # noqa: F811
    # as with validate-after-updates beyond its end, or LOGLEVEL=WARNING in the environment
    run = runs(compared())[0]
    write_training(run, TRAINED, status=0, best=False)
    assert Outcome(run, compared()).error


def test_a_lost_best_checkpoint_does_not_end_a_training_for_good(compared):  # noqa: F811
    # checkpoint_last.pt says that all is done, so fairseq never writes another checkpoint_best.pt
    experiment = compared()
    run = runs(experiment)[0]
    write_training(run, validated(2, "3.0") + TRAINED, status=0, best=False)
    (run.folder / "checkpoint_last.pt").touch()
    # started again it would end at once, and does not say that the file is what is missing
    assert "checkpoint_best.pt" in (Outcome(run, experiment).error or "")


def test_minutes_are_those_of_all_attempts():
    # fairseq counts train_wall anew after a restart
    walls = (300, 600, 200, 300)
    log = "".join(
        entry("train", epoch=number, train_wall=wall, train_wpb=9, train_num_updates=4 * number)
        for number, wall in enumerate(walls, start=1)
    )
    assert logs.training(log).seconds == 900


def test_a_failed_seed_does_not_turn_the_verdict_unsaid(monkeypatch):
    """Of three seeds the one that is bad fails: what was inconclusive must not become better."""
    monkeypatch.setattr(scores, "word_counts", lambda *_: None)
    draw, words = np.random.default_rng(1), "a b c d </s> ".split() * 40

    def scored(seed, shift):
        items = Tokens(words, -draw.uniform(1, 3, len(words)) - shift)
        return SimpleNamespace(items=items, run=SimpleNamespace(seed=seed))

    by_model = {
        "a": [scored(seed, 0) for seed in (1, 2, 3)],
        "b": [scored(1, -0.4), scored(2, -0.42), scored(3, 3.0)],
    }
    plan = SimpleNamespace(baseline="a", metrics=["perplexity"], data="", seeds=[1, 2, 3])

    def difference():
        found, _ = scores.scored(SimpleNamespace(plan=plan), by_model)
        return found["b"]["perplexity"]["difference"]

    assert difference()["verdict"] == "inconclusive"
    by_model["b"][2].items = None
    assert difference()["verdict"] == "inconclusive" or "2 of 3 seeds" in difference()["reason"]


# plans


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {**TRAIN, "task": ["language_modeling"]}},
        {"models": {"lstm": {"arch": ["lstm_lm"]}}},
        {"score": {"metric": {"perplexity": True}}},
        {"score": {"metric": [["perplexity"]]}},
        {"budget": ["updates"]},
        {"baseline": ["lstm"]},
        {"train": {**TRAIN, "": True}},
        {"train": {**TRAIN, "help": True}},
        {"train": {**TRAIN, "lr": []}},
        {"seeds": [2**32]},
        {"tune": {"dropout": [0.1, 0.1]}},
        {"tune": {"arch": ["lstm_lm", "lstmn_lm"]}},
        {"train": {**TRAIN, "reset-optimizer": True}},
        {"train": {**TRAIN, "checkpoint-suffix": "x"}},
        {"train": {**TRAIN, "validate-after-updates": 1000}},
        {"train": {**TRAIN, "restore-file=x.pt": True}},
        {"models": {"lstm" * 70: {"arch": "lstm_lm"}}, "baseline": "lstm" * 70},
    ],
    ids=lambda changes: str(changes.get("models") or list(changes.items())[0])[-40:],
)
def test_a_wrong_plan_is_one_line(tmp_path, data, changes):  # noqa: F811
    plan = planned(tmp_path, data, **changes)
    with pytest.raises(SystemExit) as exit:
        main(["compare", str(plan), "--dest", str(tmp_path / "dest"), "--dry-run"])
    assert str(exit.value.code).startswith("error: ") and "\n" not in exit.value.code
    assert "object_type" not in exit.value.code


def test_a_plan_that_is_a_number_says_so(tmp_path):
    (tmp_path / "plan.yaml").write_text("3\n")
    with pytest.raises(SystemExit) as exit:
        main(["compare", str(tmp_path / "plan.yaml"), "--dest", str(tmp_path)])
    assert "None" not in exit.value.code


def test_models_named_by_numbers_have_names(compared):  # noqa: F811
    experiment = compared(models={300: {"arch": "lstm_lm"}}, baseline=300)
    assert runs(experiment)[0].name == "300, seed 1"


def test_a_name_that_fairseq_takes_for_several_paths_is_refused_at_once(tmp_path, data):  # noqa: F811
    # fairseq-generate cuts --path at colons
    path = planned(tmp_path, data, models={"lstm:8": {"arch": "lstm_lm"}}, baseline="lstm:8")
    with pytest.raises(InputError, match="'lstm:8': cannot be the name of a folder"):
        plan.read(path)


# parameters


@pytest.mark.parametrize("width", [64, 256])
def test_sizes_are_matched_though_a_probe_equals_the_width_of_the_output(compared, width):  # noqa: F811
    # a model whose hidden size is that of its output has one projection less
    models = {"lstm": {"arch": "lstm_lm", "decoder-hidden-size": 200}, "lstmn": MODELS["lstmn"]}
    if width == 256:
        models = {"lstmn": {**models["lstm"], "arch": "lstmn_lm"}, "lstm": MODELS["lstm"]}
    experiment = compared(
        {"decoder-out-embed-dim": width, "decoder-embed-dim": width},
        models=models,
        baseline=next(iter(models)),
        match="parameters",
    )
    ours, wanted = (found.all for found in experiment.parameters.values())
    assert abs(ours - wanted) <= 0.01 * wanted


def test_the_parameters_told_are_those_of_the_size_that_was_chosen(compared):  # noqa: F811
    experiment = compared(tune={"decoder-hidden-size": [8, 64]})
    chosen = {"decoder-hidden-size": 64}
    told = results.model_entry(experiment, "lstm", [], {}, chosen)["parameters"]["all"]
    assert told > 10 * experiment.parameters["lstm"].all


# terminal


def test_wide_letters_do_not_break_the_lines_of_a_terminal(monkeypatch):
    unicodedata = pytest.importorskip("unicodedata")
    monkeypatch.setenv("COLUMNS", "20")
    out = io.StringIO()
    out.isatty = lambda: True
    Progress([], "loss", "valid", out)._draw([], ["語" * 30])
    (line,) = out.getvalue().splitlines()
    assert sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in line) < 20


# scoring


@pytest.mark.parametrize("task", ["translation_from_pretrained_bart", "online_backtranslation"])
def test_a_task_without_a_dataclass_is_scored_or_refused(task):
    _, generate, *_ = scoring.SCORINGS
    try:
        options = scoring.score_options(generate, {"task": task}, {})
    except InputError:
        return
    assert options["task"] == task
