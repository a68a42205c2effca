"""Plans: what they may say, and one line for all that they may not."""

import pytest
import yaml

from fairseq_lstmn.cli.compare import EXAMPLE
from fairseq_lstmn.comparison import plan
from fairseq_lstmn.errors import InputError


@pytest.fixture
def written(tmp_path):
    """Writes a sound plan with changes (None takes a key away); its path."""
    (tmp_path / "data").mkdir()

    def write(**changes):
        found = {
            "data": str(tmp_path / "data"),
            "train": {"task": "language_modeling", "max-epoch": 2, "dropout": 0.1},
            "score": {"metric": "perplexity", "tokens-per-sample": 20},
            "models": {"a": {"arch": "lstm_lm"}, "b": {"arch": "lstmn_lm", "dropout": 0.3}},
            "baseline": "a",
            "seeds": [1, 2],
            **changes,
        }
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in found.items() if v is not None}))
        return path

    return write


def test_a_plan_is_read(written):
    found = plan.read(written())
    assert (found.title, found.budget, found.match, found.tune) == (
        "Comparison",
        "updates",
        None,
        {},
    )
    assert found.metrics == ["perplexity"] and found.score == {"tokens-per-sample": 20}
    assert found.seeds == [1, 2] and found.trials() == [{}]


def test_a_models_own_options_go_before_those_of_all(written):
    found = plan.read(written())
    assert found.options("a")["dropout"] == 0.1
    assert found.options("b") == {
        "task": "language_modeling",
        "max-epoch": 2,
        "dropout": 0.3,
        "arch": "lstmn_lm",
    }


def test_every_key_can_be_overridden(written):
    overrides = ["train.max-epoch=9", "seeds=[4]", "models.b.dropout=0.5", "title=Other"]
    found = plan.read(written(), [*overrides, "score.metric=[perplexity]", "train.lr=1e-3"])
    assert found.train["max-epoch"] == 9 and found.train["lr"] == 0.001
    assert found.seeds == [4] and found.title == "Other"
    assert found.options("b")["dropout"] == 0.5


def test_trials_are_all_combinations(written):
    found = plan.read(written(tune={"dropout": [0.1, 0.3], "lr": [1, 2]}))
    assert found.trials() == [
        {"dropout": dropout, "lr": lr} for dropout in (0.1, 0.3) for lr in (1, 2)
    ]


def test_the_example_is_a_plan(tmp_path, monkeypatch):
    (tmp_path / "quickstart" / "data-bin").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = plan.read(EXAMPLE)
    assert found.baseline == "lstm" and found.tune == {"dropout": [0.1, 0.3]}


def test_a_task_may_need_no_data(written):
    assert plan.read(written(data=None)).data is None
    assert plan.read(written(), ["data=null"]).data is None


WRONG = {
    "data that is not there": (dict(data="/no/such"), "data: /no/such: no such folder"),
    "one of two folders": (dict(data="/:/no/such"), "data: /no/such: no such folder"),
    "a key": (dict(model={}), "model: unknown key; is models meant?"),
    "no models": (dict(models=None), "models: is missing"),
    "a list of models": (dict(models=["a"]), "models: ['a']: must be keys and values"),
    "a model of one word": (
        dict(models={"a": "lstm_lm"}),
        "models.a: 'lstm_lm': must be keys and values",
    ),
    "a model without a shape": (dict(models={"a": {}}), "models.a.arch: is missing"),
    "a model that is no folder": (
        dict(models={"a/b": {"arch": "lstm_lm"}}, baseline="a/b"),
        "models: 'a/b': cannot be the name of a folder",
    ),
    "a baseline": (dict(baseline="c"), "baseline: c: is none of the models (a, b)"),
    "no seed": (dict(seeds=[]), "seeds: []: must be a list of numbers"),
    "one number": (dict(seeds=3), "seeds: 3: must be a list of numbers"),
    "a seed twice": (dict(seeds=[1, 2, 1]), "seeds: 1: stands there twice"),
    "half a seed": (dict(seeds=[0.5]), "seeds: 0.5: must be a whole number from 0 on, below 2^32"),
    "a metric": (
        dict(score={"metric": "ppl"}),
        "score.metric: ppl: must be one of perplexity, exact-match, accuracy, macro-f1, bleu, chrf",
    ),
    "no metric": (dict(score={}), "score.metric: is missing"),
    "a metric twice": (
        dict(score={"metric": ["bleu", "bleu"]}),
        "score.metric: bleu: stands there twice",
    ),
    "an option without a value": (
        dict(train={"lr": {}}),
        "train.lr: {}: must be one value, or true for a flag",
    ),
    "a budget": (
        dict(budget="tokens"),
        "budget: tokens: must be one of updates, epochs, minutes",
    ),
    "what to match": (dict(match="updates"), "match: updates: must be parameters"),
    "one value to tune": (
        dict(tune={"dropout": 0.1}),
        "tune.dropout: 0.1: must be a list of values",
    ),
}


@pytest.mark.parametrize("changes, line", WRONG.values(), ids=WRONG)
def test_a_wrong_plan_is_one_line(written, changes, line):
    path = written(**changes)
    with pytest.raises(InputError) as error:
        plan.read(path)
    assert str(error.value) == f"{path}: {line}"


@pytest.mark.parametrize(
    "text", ["[", "a", "a: 1\na: 2\n", "\xff".encode("latin-1").decode("latin-1")]
)
def test_a_file_that_is_no_plan_is_one_line(tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        plan.read(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="plan.yaml: cannot be read"):
        plan.read(tmp_path / "plan.yaml")
