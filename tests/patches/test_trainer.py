"""Weights, gradients and losses that are NaN or infinite end a run by name."""

import math
from argparse import Namespace
from unittest.mock import MagicMock

import pytest
import torch
from fairseq.data import Dictionary
from fairseq.trainer import Trainer

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import WordEmbedding
from fairseq_lstmn.modules.output_layer import AttentionalOutput
from fairseq_lstmn.patches import trainer as steps
from fairseq_lstmn.patches.non_finite import check_weights


@pytest.fixture
def trainer():
    """Has done 6 updates of a model of this package with two layers."""
    layers = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    model = torch.nn.Sequential(*layers, AttentionalOutput(2))
    return Namespace(model=model, get_num_updates=lambda: 6, validated_subset="valid")


@pytest.fixture
def other(trainer):
    """The same with a model of another package."""
    trainer.model = trainer.model[:2]
    steps.warn_once.cache_clear()
    return trainer


def fails(trainer):
    raise FloatingPointError("gradients are Nan/Inf\nand more")


def assert_ends(trainer, train_step, message):
    with pytest.raises(InputError) as error:
        steps.end_training_where_non_finite(train_step, trainer)
    assert str(error.value) == f"update 7: {message}; see --lr and --clip-norm"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_is_named(trainer, value):
    trainer.model[1].weight.data[0, 1] = value
    assert_ends(trainer, fails, "1.weight holds NaN or infinity")
    with pytest.raises(InputError, match="^model.pt: 1.weight holds NaN or infinity$"):
        check_weights(trainer.model, "model.pt")


def test_a_weight_of_another_model_is_named_in_a_warning(other, caplog):
    other.model[1].weight.data[0, 1] = math.nan
    check_weights(other.model, "model.pt")
    [message] = caplog.messages
    assert message.startswith("model.pt: 1.weight holds NaN or infinity")


def test_gradients_are_named(trainer):
    for parameter in trainer.model[1].parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    message = "the gradient of 1.weight and 1 more hold NaN or infinity"
    assert_ends(trainer, fails, message)


def test_what_fairseq_says_stands_where_nothing_is_found(trainer):
    assert_ends(trainer, fails, "gradients are Nan/Inf")


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_is_named(trainer, loss):
    assert_ends(trainer, lambda trainer: {"loss": loss}, f"the loss is {loss}")


@pytest.mark.parametrize("logged", [{}, None])
def test_an_overflow_scaled_away_go_on(trainer, logged):
    assert steps.end_training_where_non_finite(lambda trainer: logged, trainer) is logged
    check_weights(trainer.model, "model.pt")


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_in_validation_is_named_with_its_subset(trainer, loss):
    for subset in ("valid", "valid1"):
        steps.remember_subset(lambda trainer, subset: subset, trainer, subset)
    with pytest.raises(InputError) as error:
        steps.end_validation_where_non_finite(lambda trainer: {"loss": loss}, trainer)
    line = f"update 6: the loss on 'valid1' is {loss}; see --lr and --clip-norm"
    assert str(error.value) == line


def test_a_loss_of_another_model_in_validation_is_a_warning(other, caplog):
    logged = {"loss": math.inf}
    for _ in range(2):
        assert steps.end_validation_where_non_finite(lambda trainer: logged, other) is logged
    [message] = caplog.messages
    assert message.startswith("update 6: the loss on 'valid' is inf")


@pytest.mark.parametrize("logged", [{"loss": 1.5}, {"loss": math.nan, "sample_size": 0}])
def test_a_finite_loss_and_none_because_nothing_was_predicted_go_on(trainer, logged):
    for step in (steps.end_training_where_non_finite, steps.end_validation_where_non_finite):
        assert step(lambda trainer: logged, trainer) is logged


def test_this_packages_models_hear_which_epoch_begins():
    dictionary = Dictionary()
    words = WordEmbedding(dictionary, 2, None, "--encoder-embed-path", 0.0)
    other = torch.nn.Identity()
    other.set_epoch = MagicMock()
    trainer = MagicMock(tpu=False)
    trainer.get_model.return_value = torch.nn.Sequential(other, words)
    Trainer.begin_epoch(trainer, 3)
    assert words.epoch == 3
    other.set_epoch.assert_not_called()
    trainer.task.begin_epoch.assert_called_once()  # fairseq's own duties are done too
