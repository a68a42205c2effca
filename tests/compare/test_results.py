"""Results from what runs wrote: budgets are checked, failures told, scores are fairseq's own."""

from types import SimpleNamespace

import numpy as np
import pytest

from fairseq_lstmn.compare.kinds import language
from fairseq_lstmn.compare.kinds.classification import Answers
from fairseq_lstmn.compare.kinds.kind import Evaluation
from fairseq_lstmn.compare.kinds.language import Tokens
from fairseq_lstmn.compare.report.results import means
from fairseq_lstmn.compare.report.scores import scored
from fairseq_lstmn.compare.run.status import (
    RunStatus,
    budget_errors,
    leave_out_other_tests,
    run_errors,
    unanswered,
)
from fairseq_lstmn.compare.run.training_log import TrainingLog
from fairseq_lstmn.compare.stats.metrics import METRICS
from tests.compare.test_training_log import DONE, epoch, valid


@pytest.fixture
def outcome(tmp_path):
    """Makes the RunStatus of a run with this log of its training."""

    def make(model="a", seed=1, log="", items=None, error=None, numbers=(0, 1), left_out=0):
        path = tmp_path / f"{model}{seed}.log"
        path.write_text(log)
        stage = SimpleNamespace(log=path, usage=dict)
        run = SimpleNamespace(
            model=model,
            seed=seed,
            folder=path,
            name=f"{model}, seed {seed}",
            train=stage,
            score=stage,
            trained=lambda: items is not None,
            scored=lambda: Evaluation(items, 100.0, list(numbers), left_out),
            error=lambda: error,
            training=TrainingLog(path),
        )
        experiment = SimpleNamespace(
            valid_metric="loss", maximize=False, curve_metric="ppl", validated_on="valid"
        )
        return RunStatus(run, experiment)

    return make


def plan(budget="updates", models="ab", seeds=(1,), **more):
    more = {"options": lambda model: {"tokens-per-sample": 35}, **more}
    return SimpleNamespace(budget=budget, models=models, seeds=list(seeds), **more)


def by_perplexity(data=None, **changes):
    return SimpleNamespace(
        plan=plan(baseline="a", data=data, **changes),
        metrics=[METRICS["perplexity"]],
        subsets={"train": "train"},
    )


def tokens(words="a b </s>", values=(-1.0, -2.0, -3.0)):
    return Tokens(words.split(), np.array(values))


def test_what_a_training_was_given_and_took_is_read_from_its_log(outcome):
    log = valid(20, loss=5, ppl=32) + epoch(1, 20, wpb=100, wps=7, wall=60)
    log += valid(40, loss=6, ppl=64)
    found = outcome(log=log + epoch(2, 40, wpb=90, wps=9, wall=180) + DONE, items=tokens())
    assert found.budget == {
        "updates": 40,
        "tokens_per_update": 95,
        "epochs": 2,
        "best_update": 20,
    }
    assert found.cost == {
        "minutes": 3,
        "words_per_second": 8,
        "items_per_second": 100.0,
        "peak_memory": None,
        "cpu_seconds": None,
    }
    assert found.state == "finished"
    assert found.curve == [[20, 32], [40, 64]] and found.best_valid == 32


UNEQUAL = {
    "updates": epoch(1, 21, wpb=100, wall=60),
    "tokens per update": epoch(1, 20, wpb=100.1, wall=60),
    "epochs": epoch(2, 20, wpb=100, wall=60),
    "minutes": epoch(1, 20, wpb=100, wall=66),
}


@pytest.mark.parametrize("name, log", UNEQUAL.items())
def test_unequal_budgets_are_an_error(outcome, name, log):
    by_model = {
        "a": [outcome("a", log=epoch(1, 20, wpb=100, wall=60), items=tokens())],
        "b": [outcome("b", log=log, items=tokens())],
    }
    kinds = ("epochs", "minutes") if name in ("epochs", "minutes") else ("updates",)
    found = [error for kind in kinds for error in budget_errors(plan(kind), by_model)]
    assert len(found) == 1 and found[0].startswith(f"unequal budgets: {name} with seed 1: a ")


@pytest.mark.parametrize("words, is_equal", [(99.4, True), (98.8, False)])
def test_blocks_of_other_lengths_leave_other_remainders(outcome, words, is_equal):
    """Words an update are then the same within 1%, and to the last one otherwise."""
    own = plan(options=lambda model: {"tokens-per-sample": {"a": 35, "b": 175}[model]})
    by_model = {
        name: [outcome(name, log=epoch(1, 20, wpb=wpb, wall=60), items=tokens())]
        for name, wpb in {"a": 100, "b": words}.items()
    }
    assert (budget_errors(own, by_model) == []) == is_equal
    assert budget_errors(plan(), by_model) != []


def test_equal_budgets_are_none(outcome):
    log = epoch(1, 20, wpb=100, wall=60)
    slower = epoch(1, 20, wpb=100, wall=62)
    by_model = {
        "a": [outcome("a", log=log, items=tokens())],
        "b": [outcome("b", log=slower, items=tokens()), outcome("b", 2, epoch(1, 3, wpb=1))],
    }
    for kind in ("updates", "epochs", "minutes"):
        assert budget_errors(plan(kind, seeds=(1, 2)), by_model) == []


def test_failed_and_missing_runs_are_told(outcome):
    outcomes = [
        outcome("a", items=tokens()),
        outcome("b", error="train: no more memory"),
        outcome("b", seed=2),
    ]
    assert run_errors(plan(seeds=(1, 2)), outcomes, {}) == [
        "b, seed 1 failed: train: no more memory",
        "2 of 4 runs are not finished",
    ]


def test_a_trial_that_failed_is_told_once_though_it_is_a_run_as_well(outcome):
    failed, run = outcome("a", 1, error="train: gone"), outcome("b", 1, items=tokens())
    trials = {"a": [({"lr": 1}, failed)], "b": [({"lr": 1}, run)]}
    told = run_errors(plan(), [run], trials)
    assert told == ["a, seed 1 failed: train: gone", "1 of 2 runs are not finished"]
    assert run_errors(plan(), [failed, run], trials) == told[:1]


def test_a_run_that_was_asked_something_else_is_left_out(outcome):
    outcomes = [
        outcome("a", items=tokens()),
        outcome("b", items=tokens(values=(-2.0, -2.0, -2.0))),
        outcome("c", items=tokens("a c </s>")),
    ]
    leave_out_other_tests(outcomes)
    assert [found.state for found in outcomes] == ["finished", "finished", "failed"]
    assert outcomes[2].error == "scored on other test items than a, seed 1"


def test_a_text_is_the_same_in_blocks_of_any_length_if_none_is_left_out(outcome):
    for left_out, states in (0, ["finished", "finished"]), (1, ["finished", "failed"]):
        outcomes = [
            outcome("a", items=tokens(), numbers=[0, 1]),
            outcome("b", items=tokens(), numbers=[0], left_out=left_out),
        ]
        leave_out_other_tests(outcomes)
        assert [found.state for found in outcomes] == states


def test_models_that_answered_different_examples_are_not_compared(outcome):
    same = Answers(["x", "y"], np.array([[0.5, 0.5]]), np.array([0]), np.array([3]))
    most = Answers(same.classes, np.array([[0.5, 0.5]] * 2), np.array([0, 1]), np.array([3, 9]))
    outcomes = [
        outcome("a", items=same, numbers=[4], left_out=1),
        outcome("b", items=most, numbers=[4, 7]),
    ]
    leave_out_other_tests(outcomes)  # nothing but the label and the number tells them apart
    assert [found.state for found in outcomes] == ["failed", "finished"]
    assert outcomes[0].error == "scored on other test items than b, seed 1 (1 examples, not 2)"
    outcomes = [outcome(name, items=same, numbers=[k]) for k, name in enumerate("ab")]
    leave_out_other_tests(outcomes)
    assert outcomes[1].error == "scored on other test items than a, seed 1"


def test_what_a_model_did_not_answer_is_said_once(outcome):
    outcomes = [outcome("a", seed, items=tokens(), left_out=1_000) for seed in (1, 2)]
    assert unanswered([*outcomes, outcome("b", items=tokens())]) == [
        "a answered 2 of 1,002 test examples; the scores leave out 1,000 that are too long"
    ]


def test_scores_are_paired_item_by_item_and_cut_into_buckets(outcome, monkeypatch):
    monkeypatch.setattr(language, "word_counts", lambda *where: {"a": 5})
    rng = np.random.default_rng(1)
    words = "a b c </s> a d </s> e f </s> ".split() * 20
    easy = -rng.uniform(1, 3, (2, len(words)))
    by_model = {
        "a": [outcome("a", seed, items=Tokens(words, easy[seed - 1])) for seed in (1, 2)],
        "b": [outcome("b", seed, items=Tokens(words, easy[seed - 1] - 1)) for seed in (1, 2)],
        "c": [outcome("c", error="train: gone")],
    }
    experiment = by_perplexity(models="abc", data="", seeds=(1, 2))
    found, table = scored(experiment, by_model)
    ours, base = (found[name]["perplexity"] for name in "ba")
    assert ours["mean"] == pytest.approx(np.e * base["mean"])
    assert base["mean"] == pytest.approx(np.exp(-easy.mean(axis=1)).mean())
    assert base["difference"] is None and ours["difference"]["verdict"] == "worse"
    assert found["c"] == {}
    assert [cut["name"] for cut in table] == [
        "frequency in training",
        "distance to its last occurrence",
        "position in the sentence",
    ]
    for cut in table:
        assert sum(cut["counts"]) == len(words) and len(cut["labels"]) == len(cut["counts"])
        assert all(value > 0 for value in cut["differences"]["b"])


def test_without_data_words_are_not_cut_by_how_often_they_were_trained_on(outcome):
    """As of a task that makes its text itself."""
    _, table = scored(by_perplexity(models="a"), {"a": [outcome("a", items=tokens())]})
    assert [cut["name"] for cut in table] == [
        "distance to its last occurrence",
        "position in the sentence",
    ]


def test_no_run_at_all_gives_no_scores():
    assert scored(by_perplexity(), {"a": [], "b": []}) == ({"a": {}, "b": {}}, [])


def test_a_mean_of_what_is_partly_unknown_is_unknown():
    rows = [{"x": 1, "y": None}, {"x": 3, "y": 2}]
    assert means(rows) == {"x": 2, "y": None} and means([]) == {}


def test_a_failed_seed_does_not_turn_the_verdict_unsaid(outcome):
    """Of three seeds the one that is bad fails: what was inconclusive must not become better."""
    draw, words = np.random.default_rng(1), "a b c d </s> ".split() * 40

    def shifted(model, *shifts):
        return [
            outcome(model, seed, items=Tokens(words, -draw.uniform(1, 3, len(words)) - shift))
            for seed, shift in enumerate(shifts, start=1)
        ]

    by_model = {"a": shifted("a", 0, 0, 0), "b": shifted("b", -0.4, -0.42, 3.0)}

    def difference():
        scores, _ = scored(by_perplexity(seeds=(1, 2, 3)), by_model)
        return scores["b"]["perplexity"]["difference"]

    assert difference()["verdict"] == "inconclusive"
    by_model["b"][2].evaluation = None
    assert difference()["verdict"] == "inconclusive"
    assert "not all seeds have finished" in difference()["reason"]
