"""An experiment on tiny text, with changes."""

import pytest

from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.run.runs import Runs
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
MODELS = {"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}}


@pytest.fixture(scope="package")
def data(tmp_path_factory):
    return str(monolingual_data(tmp_path_factory.mktemp("text")))


@pytest.fixture
def experiment(data):
    """Makes the Experiment of a plan with changes; ``train`` adds to the options of all."""

    def make(train=None, **changes):
        values = {
            "data": data,
            "metrics": ["perplexity"],
            "score": {},
            "models": MODELS,
            "baseline": "lstm",
            "seeds": [1, 2],
            **changes,
        }
        return Experiment(Plan(train={**TRAIN, **(train or {})}, **values))

    return make


@pytest.fixture
def runs(experiment, tmp_path):
    """Makes the Runs of such an experiment."""
    return lambda *train, **changes: Runs(experiment(*train, **changes), tmp_path / "dest")


@pytest.fixture
def all_runs(runs):
    """Makes the runs of all models and seeds, with what has been tuned."""

    def make(*train, **changes):
        made = runs(*train, **changes)
        return made.of_all_seeds(made.tuned())

    return make
