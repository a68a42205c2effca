"""When a checkpoint has the tapes that a model carries."""

from argparse import Namespace

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.trainer import Trainer

from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.ops import Tape
from fairseq_lstmn.training import carried

SETTINGS = Namespace(no_save=False)


def trainer(decoder=None, processes=1):
    model = Namespace(decoder=decoder or Namespace(carried=CarriedTapes(2)))
    return Namespace(
        get_model=lambda: model,
        data_parallel_world_size=processes,
        data_parallel_rank=0,
        device=torch.device("cpu"),
    )


def reading():
    """A trainer whose model has read a batch."""
    found = trainer()
    tape = Tape(torch.ones(3, 5, 4), torch.ones(3, 5, 4))
    found.get_model().decoder.carried.store(True, [tape], torch.ones(3, 5))
    return found


def saved(trainer, settings=SETTINGS):
    """The extra state that a checkpoint gets."""

    def save(settings, trainer):
        return carried.save_with_tapes(lambda trainer, name, extra: extra, trainer, "", {})

    return carried.gather_tapes(save, settings, trainer)


def load(state, trainer):
    return carried.load_with_tapes(lambda trainer, filename: state, trainer, "last.pt")


def taken(trainer):
    return trainer.get_model().decoder.carried.take(True, 3)


def test_tapes_come_back():
    state, other = saved(reading()), trainer()
    assert load(state, other) is state
    [tape], words = taken(other)
    assert tape.hidden.shape == (3, 2, 4) and words.shape == (3, 2)


def test_tapes_of_version_0_2_0_come_back():
    [state], other = saved(reading())[carried.KEPT], trainer()
    load({carried.KEPT: state}, other)
    assert taken(other) is not None


@pytest.mark.parametrize(
    "before", [trainer(Namespace()), trainer(Namespace(carried="of another model"))]
)
def test_nothing_is_added_without_tapes(before):
    assert saved(before) == {}
    assert load({"epoch": 1}, before) == {"epoch": 1}
    assert load(None, before) is None


def test_a_model_that_has_read_nothing_starts_with_nothing():
    other = trainer()
    load(saved(trainer()), other)
    assert taken(other) is None


@pytest.mark.parametrize("state", [{"epoch": 1}, None])
def test_a_checkpoint_without_tapes_starts_with_nothing(state):
    other = trainer()
    assert load(state, other) is state
    assert taken(other) is None


def test_a_process_in_trouble_saves_without_the_others():
    """What it saves alone has no tapes, neither its own nor those of an earlier save."""
    alone = reading()
    assert carried.KEPT in saved(alone)
    assert carried.save_with_tapes(lambda trainer, name, extra: extra, alone, "", {}) == {}


def test_nothing_is_gathered_where_nothing_is_saved():
    assert saved(reading(), Namespace(no_save=True)) == {}


def test_another_number_of_processes_starts_with_nothing_and_says_so(caplog):
    other = trainer(processes=2)
    load(saved(reading()), other)
    assert taken(other) is None
    line = "last.pt: carried tapes of 1 processes, this training has 2; they start empty"
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", line)]


def test_fairseq_calls_all_of_them():
    assert carried.gather_tapes in checkpoint_utils.save_checkpoint.patched_by_lstmn
    assert carried.save_with_tapes in Trainer.save_checkpoint.patched_by_lstmn
    assert carried.load_with_tapes in Trainer.load_checkpoint.patched_by_lstmn
