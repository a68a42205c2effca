"""Weights, gradients and losses that are no numbers end a run by name."""

import math
from argparse import Namespace

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.trainer import Trainer

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.output_layer import AttentionalOutput
from fairseq_lstmn.training import finite


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
    finite.warn_once.cache_clear()
    return trainer


def fails(trainer):
    raise FloatingPointError("gradients are Nan/Inf\nand more")


def assert_ends(trainer, train_step, message):
    with pytest.raises(InputError) as error:
        finite.train_on_numbers(train_step, trainer)
    assert str(error.value) == f"update 7: {message}; see --lr and --clip-norm"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_weight_is_named(trainer, value):
    trainer.model[1].weight.data[0, 1] = value
    assert_ends(trainer, fails, "1.weight holds NaN or infinity")
    with pytest.raises(InputError, match="^model.pt: 1.weight holds NaN or infinity$"):
        finite.check_weights(trainer.model, "model.pt")


def test_a_weight_of_another_model_is_named_in_a_warning(other, caplog):
    other.model[1].weight.data[0, 1] = math.nan
    finite.check_weights(other.model, "model.pt")
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


@pytest.mark.parametrize("logged", [{"loss": 1.5}, {}, None])
def test_numbers_and_an_overflow_scaled_away_go_on(trainer, logged):
    assert finite.train_on_numbers(lambda trainer: logged, trainer) is logged
    finite.check_weights(trainer.model, "model.pt")


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_in_validation_is_named_with_its_subset(trainer, loss):
    for subset in ("valid", "valid1"):
        finite.remember_subset(lambda trainer, subset: subset, trainer, subset)
    with pytest.raises(InputError) as error:
        finite.validate_on_numbers(lambda trainer: {"loss": loss}, trainer)
    line = f"update 6: the loss on 'valid1' is {loss}; see --lr and --clip-norm"
    assert str(error.value) == line


def test_a_loss_of_another_model_in_validation_is_a_warning(other, caplog):
    logged = {"loss": math.inf}
    for _ in range(2):
        assert finite.validate_on_numbers(lambda trainer: logged, other) is logged
    [message] = caplog.messages
    assert message.startswith("update 6: the loss on 'valid' is inf")


def test_nothing_predicted_has_no_loss(trainer):
    logged = {"loss": math.nan, "sample_size": 0}
    assert finite.train_on_numbers(lambda trainer: logged, trainer) is logged
    assert finite.validate_on_numbers(lambda trainer: logged, trainer) is logged


def test_a_loss_in_validation_that_is_a_number_is_handed_on(trainer):
    logged = {"loss": 1.5}
    assert finite.validate_on_numbers(lambda trainer: logged, trainer) is logged


@pytest.mark.parametrize("score, chosen", [(0.5, 0.5), (None, None), (math.nan, None)])
def test_no_best_checkpoint_is_chosen_by_no_number(trainer, caplog, score, chosen):
    def save(settings, trainer, epoch_itr, score):
        return score

    settings = Namespace(best_checkpoint_metric="pearson")
    assert finite.choose_by_numbers(save, settings, trainer, None, score) == chosen
    warning = (
        "update 6: --best-checkpoint-metric pearson is nan; no best checkpoint is chosen by it"
    )
    assert caplog.messages == ([warning] if score != chosen else [])


def test_fairseq_calls_them_in_validation():
    assert finite.remember_subset in Trainer.get_valid_iterator.patched_by_lstmn
    assert finite.validate_on_numbers in Trainer.valid_step.patched_by_lstmn
    assert finite.choose_by_numbers in checkpoint_utils.save_checkpoint.patched_by_lstmn
