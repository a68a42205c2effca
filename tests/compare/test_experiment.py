"""What fairseq itself would refuse, or what would be unfair, is said before anything runs."""

import pytest

from fairseq_lstmn.compare.plan.experiment import OWN
from fairseq_lstmn.compare.report import results
from fairseq_lstmn.errors import InputError
from tests.compare.conftest import MODELS
from tests.compare.test_runs import RECALL

WRONG = {
    "data: is missing (the task language_modeling reads it)": dict(data=None),
    ": the task recall reads none": dict(train=RECALL),
    "train.task: recall: has no part 'test2'": dict(
        train=RECALL, data=None, metrics=["accuracy"], score={"gen-subset": "test2"}
    ),
    "models.lstm: --pairs 5: must rise, from 1 on up to --num-keys 4": dict(
        train={**RECALL, "pairs": 5}, data=None, metrics=["accuracy"]
    ),
    "models.lstm.pairs: 1: must stand in train, for all": dict(
        train=RECALL,
        data=None,
        metrics=["accuracy"],
        models={"lstm": {"arch": "lstm_lm", "pairs": 1}},
    ),
    "max-epochs: unknown option of fairseq's, in models.lstm, with value 3; "
    "is max-epoch meant?": dict(train={"max-epochs": 3}),
    "criterin: unknown option of fairseq's, in models.lstm, with value 'adaptive_loss'; "
    "is criterion meant?": dict(train={"ddp-backnd": "no_c10d", "criterin": "adaptive_loss"}),
    "models.lstm.cpu: yes: fairseq takes no value here, but true or false": dict(
        train={"cpu": "yes"}
    ),
    "distance-bias: unknown option of fairseq's, in models.lstm, with value 3": dict(
        models={"lstm": {"arch": "lstm_lm", "distance-bias": 3}}
    ),
    "models.lstm: argument --batch-size/--max-sentences: invalid int value: 'many'": dict(
        train={"batch-size": "many"}
    ),
    "lstm_ml: unknown architecture, in models.lstm.arch; is lstm_lm meant?": dict(
        models={"lstm": {"arch": "lstm_ml"}}
    ),
    "language_modelling: unknown task of fairseq's, in models.lstm.task; "
    "is language_modeling meant?": dict(train={"task": "language_modelling"}),
    "score.metric: ppl: not for the task language_modeling (it has perplexity)": dict(
        metrics=["ppl"]
    ),
    "score.metric: bleu: not for the task language_modeling (it has perplexity)": dict(
        metrics=["bleu"]
    ),
    "beam: unknown option of fairseq's, in score, with value 5": dict(score={"beam": 5}),
    "models.lstm: --neural-cache 9: needs --cache-theta and --cache-lambda, or --cache-tune": dict(
        models={"lstm": {"arch": "lstm_lm", "neural-cache": 9}}
    ),
    "models.lstm: --cache-tune test: is what is scored (--gen-subset)": dict(
        models={"lstm": {"arch": "lstm_lm", "neural-cache": 9, "cache-tune": "test"}}
    ),
    "has no part 'test2'": dict(score={"gen-subset": "test2"}),
    "tune.valid-subset: ['valid', 'test']: must stand in train, for all": dict(
        tune={"valid-subset": ["valid", "test"]}
    ),
    "train.decoder-embed-path: /no/vectors.txt: no such file": dict(
        train={"decoder-embed-path": "/no/vectors.txt"}
    ),
    "models.lstm, tune: argument --dropout: invalid float value: 'much'": dict(
        tune={"dropout": [0.1, "much"]}
    ),
    "models.lstm: no model can be built of it (RuntimeError: ": dict(
        train={"decoder-hidden-size": -1}
    ),
    " with decoder-ffn-embed-dim 1, the nearest to the baseline's ": dict(
        models={"lstm": {"arch": "lstm_lm"}, "transformer": {"arch": "transformer_lm"}},
        train={"decoder-hidden-size": False, "decoder-out-embed-dim": False},
        match="parameters",
    ),
    "models.fconv has no option for its hidden size or its feed-forward width": dict(
        models={"lstm": {"arch": "lstm_lm"}, "fconv": {"arch": "fconv_lm"}},
        train={"decoder-hidden-size": False, "decoder-out-embed-dim": False},
        match="parameters",
    ),
    "match: parameters: models.lstmn has ": dict(
        models={"lstm": {"arch": "lstm_lm"}, "lstmn": {"arch": "lstmn_lm"}}, match="parameters"
    ),
    "score.gen-subset: test: is what models are chosen on (train.valid-subset)": dict(
        train={"valid-subset": "test"}
    ),
    "score.gen-subset: test: is what models are trained on (train.train-subset)": dict(
        train={"train-subset": "test"}
    ),
    "score.gen-subset: valid: is what models are chosen on (train.valid-subset)": dict(
        score={"gen-subset": "valid"}
    ),
    # fairseq adds the smoothing to valid_loss, so 0 wins whatever it is worth
    "tune.label-smoothing: [0.0, 0.2]: must stand in train, for all": dict(
        train={"criterion": "label_smoothed_cross_entropy"}, tune={"label-smoothing": [0.0, 0.2]}
    ),
    "tune.arch: ['lstm_lm', 'lstmn_lm']: a model has one": dict(
        tune={"arch": ["lstm_lm", "lstmn_lm"]}
    ),
}


@pytest.mark.parametrize("line, changes", WRONG.items(), ids=WRONG)
def test_what_cannot_be_compared_is_one_line(experiment, changes, line):
    with pytest.raises(InputError) as error:
        experiment(**changes)
    assert line in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "option",
    [
        {"valid-subset": "train"},
        {"train-subset": "valid"},
        {"validate-interval-updates": 1, "save-interval-updates": 1},
        {"max-valid-steps": 1},
        {"tokens-per-sample": 80},
        {"tokens-per-sample": 80, "batch-size": 4},
        {"tokens-per-sample": "80", "batch-size": "2"},
        {"best-checkpoint-metric": "ppl"},
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_model_is_chosen_and_scored_as_the_others_are(experiment, option):
    name, value = next(iter(option.items()))
    line = f"models.lstmn.{name}: {value}: must stand in train, for all"
    with pytest.raises(InputError, match=line):
        experiment(models={**MODELS, "lstmn": {"arch": "lstmn_lm", **option}})


LONG_BLOCKS = {"arch": "transformer_lm", "tokens-per-sample": 80, "batch-size": 2}
OF_TRANSFORMERS = {"decoder-hidden-size": False, "decoder-out-embed-dim": False}


def test_a_model_may_have_longer_blocks_and_as_many_words_an_update(experiment):
    """A block is all it sees if it carries nothing; its examples are held against its own limit."""
    models = {"lstm": {"arch": "lstm_lm"}, "transformer": LONG_BLOCKS}
    made = experiment(OF_TRANSFORMERS, models=models)
    assert made.options("transformer")["tokens-per-sample"] == 80
    assert made.options("lstm")["tokens-per-sample"] == 20
    backwards = {"transformer": LONG_BLOCKS, "short": {**LONG_BLOCKS, "tokens-per-sample": 20}}
    backwards["short"]["batch-size"] = 8
    assert not experiment(OF_TRANSFORMERS, models=backwards, baseline="transformer").warnings


def test_sentences_have_no_blocks_of_a_models_own(experiment):
    with pytest.raises(InputError, match="tokens-per-sample: 80: must stand in train"):
        experiment(
            {**OF_TRANSFORMERS, "sample-break-mode": "eos"},
            models={"lstm": {"arch": "lstm_lm"}, "transformer": LONG_BLOCKS},
        )


@pytest.mark.parametrize(
    "option",
    [
        *("seed", "disable-validation", "help", "reset-optimizer", "checkpoint-suffix"),
        *("restore-file", "validate-after-updates", "save-dir", "no-save"),
    ],
)
def test_what_compare_sets_itself_is_refused(experiment, option):
    assert option in OWN
    for section, changes in {
        "train": dict(train={option: "x"}),
        "models.lstm": dict(models={"lstm": {"arch": "lstm_lm", option: "x"}}),
    }.items():
        with pytest.raises(InputError, match=f"^{section}.{option}: x: is set by compare$"):
            experiment(**changes)


# parameters


def test_parameters_are_those_that_fairseq_trains(experiment):
    counted = experiment().parameters["lstm"]
    words = 24  # 20 letters and four of fairseq's own
    assert counted.embeddings == 8 * words
    assert counted.others == (4 * 8 * (8 + 8) + 2 * 4 * 8) + (8 * words + words)


@pytest.mark.parametrize("hidden", [100, 300])
def test_a_transformer_is_matched_by_its_feed_forward_layers(experiment, hidden):
    """The number of parameters is linear in their width."""
    sizes = ("embed-dim", "input-dim", "output-dim", "attention-heads", "layers")
    options = {f"decoder-{name}": value for name, value in zip(sizes, (16, 16, 16, 2, 2))}
    transformer = {"arch": "transformer_lm", **options}
    matched = experiment(
        {"decoder-hidden-size": False, "decoder-out-embed-dim": False},
        models={
            "lstm": {"arch": "lstm_lm", "decoder-hidden-size": hidden},
            "transformer": transformer,
        },
        match="parameters",
    )
    target, ours = (count.all for count in matched.parameters.values())
    assert abs(ours - target) <= 0.01 * target
    [[name, width]] = matched.chosen["transformer"].items()
    assert name == "decoder-ffn-embed-dim"
    per_unit = 2 * (2 * 16 + 1)  # of two layers, two weights and a bias
    assert width == round(width + (target - ours) / per_unit)  # none is nearer


@pytest.mark.parametrize("baseline, width", [("lstm", 8), ("lstm", 64), ("lstmn", 256)])
def test_hidden_sizes_are_matched_to_the_baselines_parameters(experiment, baseline, width):
    """A model whose hidden size is that of its output has one projection less, as a probe may."""
    sized = {**MODELS[baseline], "decoder-hidden-size": 200}
    matched = experiment(
        {"decoder-out-embed-dim": width, "decoder-embed-dim": width},
        models={**MODELS, baseline: sized},
        baseline=baseline,
        match="parameters",
    )
    target, ours = (count.all for count in matched.parameters.values())
    assert abs(ours - target) <= 0.01 * target
    other = next(model for model in MODELS if model != baseline)
    assert matched.chosen[baseline] == {}
    assert (
        matched.options(other)["decoder-hidden-size"]
        == (matched.chosen[other]["decoder-hidden-size"])
    )


def test_the_parameters_told_are_those_of_the_size_that_was_chosen(experiment):
    tuned = experiment(tune={"decoder-hidden-size": [8, 64]})
    entry = results.model_entry(tuned, "lstm", [], {}, {"decoder-hidden-size": 64})
    assert entry["parameters"]["all"] > 10 * tuned.parameters["lstm"].all


# lengths

SKIP = {"skip-invalid-size-inputs-valid-test": True}
BY_SENTENCE = {"sample-break-mode": "eos", "tokens-per-sample": 8}
OURS = {"lstmn": {"arch": "lstmn_lm"}, "wide": {"arch": "lstmn_lm", "decoder-hidden-size": 9}}


def test_test_blocks_beyond_a_limit_are_refused(experiment):
    blocks = {"tokens-per-sample": 70}  # 84 tokens, so that one block of two is short
    with pytest.raises(InputError) as error:
        experiment(score=blocks)
    assert str(error.value) == (
        "models.lstm: 1 of 2 examples of 'test' are longer than max_positions=20;"
        " see --tokens-per-sample 70, or leave them out by skip-invalid-size-inputs-valid-test"
    )
    assert experiment(score={**blocks, **SKIP}).warnings == []
    assert experiment(score=blocks, models=OURS, baseline="wide").warnings == []


def test_a_score_of_nothing_is_refused_whatever_is_skipped(experiment):
    with pytest.raises(InputError, match="models.lstm: 1 of 1 examples of 'test' are longer"):
        experiment(train=SKIP, score={"tokens-per-sample": 1024})


def test_validation_examples_beyond_a_limit_are_refused(experiment):
    with pytest.raises(InputError, match="models.lstm: 10 of 11 examples of 'valid' are longer"):
        experiment(train=BY_SENTENCE)


def test_models_that_would_train_on_different_examples_are_refused(experiment):
    with pytest.raises(InputError, match=r"different examples of 'train' .*\(lstm 37; .*lstmn 0"):
        experiment(train={**BY_SENTENCE, **SKIP})


def test_what_all_models_leave_out_of_training_is_said(experiment):
    skipping = {**BY_SENTENCE, **SKIP, "max-target-positions": 8}
    assert experiment(train=skipping).warnings == [
        "Trained on 23 of 60 examples of 'train'; the others are too long."
    ]
