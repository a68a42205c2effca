"""Plans: what they may say, and one line for all that they may not."""

import math

import pytest
import yaml

from fairseq_lstmn.cli.compare import EXAMPLE
from fairseq_lstmn.compare.plan import plan
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


def test_a_model_can_be_left_out_on_the_command_line(written):
    found = plan.read(written(), ["models.b=null"])
    assert list(found.models) == ["a"] and found.baseline == "a"
    with pytest.raises(InputError, match="baseline: a: is none of the models"):
        plan.read(written(), ["models.a=null"])
    with pytest.raises(InputError, match="models.c: None: must be keys and values"):
        plan.read(written(), ["models.c=null"])


def test_a_model_that_a_plan_says_nothing_of_is_not_left_out(written):
    with pytest.raises(InputError, match="models.b: None: must be keys and values"):
        plan.read(written(models={"a": {"arch": "lstm_lm"}, "b": None}))


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
    "data: /no/such: no such folder": dict(data="/no/such"),
    "data: /no/other: no such folder": dict(data="/:/no/other"),  # one of two
    "model: unknown key; is models meant?": dict(model={}),
    "models: is missing": dict(models=None),
    "models: ['a']: must be keys and values": dict(models=["a"]),
    "models.a: 'lstm_lm': must be keys and values": dict(models={"a": "lstm_lm"}),
    "models.a.arch: is missing": dict(models={"a": {}}),
    "models: 'a/b': cannot be the name of a folder": dict(
        models={"a/b": {"arch": "lstm_lm"}}, baseline="a/b"
    ),
    "baseline: c: is none of the models (a, b)": dict(baseline="c"),
    "seeds: []: must be a list of numbers": dict(seeds=[]),
    "seeds: 3: must be a list of numbers": dict(seeds=3),
    "seeds: 1: stands there twice": dict(seeds=[1, 2, 1]),
    "seeds: 0.5: must be a whole number from 0 on, below 2^32": dict(seeds=[0.5]),
    "score.metric: ['bleu']: must be a word": dict(score={"metric": [["bleu"]]}),
    "score.metric: {'bleu': True}: must be a word": dict(score={"metric": {"bleu": True}}),
    "baseline: ['a']: must be one word or sentence": dict(baseline=["a"]),
    "train.task: ['language_modeling']: must be a word": dict(
        train={"task": ["language_modeling"]}
    ),
    "models.a.arch: ['lstm_lm']: must be a word": dict(models={"a": {"arch": ["lstm_lm"]}}),
    "train.: True: is no name of an option": dict(train={"": True}),
    "train.lr=1: True: is no name of an option": dict(train={"lr=1": True}),
    "train.lr: []: must be one value, or true for a flag": dict(train={"lr": []}),
    "tune.dropout: 0.1: stands there twice": dict(tune={"dropout": [0.1, 0.1]}),
    "seeds: 4294967296: must be a whole number from 0 on, below 2^32": dict(seeds=[2**32]),
    # fairseq-generate cuts --path at colons
    "models: 'lstm:8': cannot be the name of a folder": dict(
        models={"lstm:8": {"arch": "lstm_lm"}}, baseline="lstm:8"
    ),
    f"models: '{'a' * 201}': cannot be the name of a folder": dict(
        models={"a" * 201: {"arch": "lstm_lm"}}, baseline="a" * 201
    ),
    "score.metric: is missing": dict(score={}),
    "score.metrc: unknown key; is metric meant?": dict(score={"metrc": "perplexity"}),
    "models.a.arhc: unknown key; is arch meant?": dict(models={"a": {"arhc": "lstm_lm"}}),
    "score.metric: bleu: stands there twice": dict(score={"metric": ["bleu", "bleu"]}),
    "train.lr: {}: must be one value, or true for a flag": dict(train={"lr": {}}),
    "budget: tokens: must be one of updates, epochs, minutes": dict(budget="tokens"),
    "match: updates: must be parameters": dict(match="updates"),
    "tune.dropout: 0.1: must be a list of values": dict(tune={"dropout": 0.1}),
}


@pytest.mark.parametrize("line, changes", WRONG.items(), ids=WRONG)
def test_a_wrong_plan_is_one_line(written, changes, line):
    path = written(**changes)
    with pytest.raises(InputError) as error:
        plan.read(path)
    assert str(error.value) == f"{path}: {line}"


@pytest.mark.parametrize(
    "text", ["[", "a", "3", "a: 1\na: 2\n", "\xff".encode("latin-1").decode("latin-1")]
)
def test_a_file_that_is_no_plan_is_one_line(tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        plan.read(path)
    line = str(error.value)
    assert line.startswith(f"{path}: is no plan (") and "\n" not in line and "None" not in line


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="plan.yaml: cannot be read"):
        plan.read(tmp_path / "plan.yaml")


SCALARS = {
    "on": "on",
    "No": "No",
    "~": None,
    "True": True,
    "032": 32,
    "0o40": 32,
    "0x20": 32,
    "1_000": "1_000",
    "1:30": "1:30",
    "0b11": "0b11",
    "2001-01-01": "2001-01-01",
    "1e-3": 0.001,
    "-.5": -0.5,
    "1.": 1.0,
    "-.inf": -math.inf,
}


@pytest.mark.parametrize("written, value", SCALARS.items(), ids=map(str, SCALARS))
def test_scalars_are_read_by_yaml_1_2(written, value):
    assert plan.load_yaml(f"key: {written}") == {"key": value}
    assert plan.override(f"train.key={written}") == ("train.key", value)
    assert type(plan.load_yaml(written)) is type(value)


@pytest.mark.parametrize("name", ["on", "no", "true", "1", "032", "1.10", "1e3", "2001-01-01"])
def test_a_model_is_named_as_written(written, name):
    path = written(models=None, baseline=None)
    path.write_text(
        path.read_text()
        + f"baseline: {name}\nmodels: {{{name}: {{arch: lstm_lm}}, b: {{arch: lstmn_lm}}}}\n"
    )
    found = plan.read(path)
    assert list(found.models) == [name, "b"]
    assert found.baseline == name


def test_a_text_that_looks_like_a_number_stays_as_written(written):
    path = written()
    path.write_text(path.read_text() + "title: 1.10\n")
    assert plan.read(path).title == "1.10"
    assert plan.read(path, ["title=2.50"]).title == "2.50"
    assert plan.read(path, ["title='a: b'"]).title == "a: b"


def test_options_of_a_language_called_no(written):
    found = plan.read(written(), ["train.target-lang=no", "train.batch-size=032"])
    assert found.train["target-lang"] == "no" and found.train["batch-size"] == 32


def test_models_may_share_options_by_an_anchor(written):
    path = written(models=None)
    path.write_text(
        path.read_text()
        + "models: {a: &a {arch: lstm_lm, dropout: 0.5}, b: {<<: *a, arch: lstmn_lm}}\n"
    )
    assert plan.read(path).models["b"] == {"arch": "lstmn_lm", "dropout": 0.5}


@pytest.mark.parametrize("twice", ["a: 1\na: 2\n", "1: 1\n'1': 2\n", "on: 1\non: 2\n"])
def test_a_key_that_stands_there_twice(tmp_path, twice):
    path = tmp_path / "plan.yaml"
    path.write_text(twice)
    with pytest.raises(InputError, match="found duplicate key"):
        plan.read(path)
