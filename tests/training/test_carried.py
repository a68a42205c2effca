"""When a checkpoint has the tapes that a model carries."""

from argparse import Namespace

import pytest
import torch

from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.ops import Tape
from fairseq_lstmn.training import carried


def trainer(decoder=None, processes=1):
    model = Namespace(decoder=decoder or Namespace(carried=CarriedTapes(2)))
    return Namespace(
        get_model=lambda: model, data_parallel_world_size=processes, device=torch.device("cpu")
    )


def reading(processes=1):
    """A trainer whose model has read a batch."""
    found = trainer(processes=processes)
    tape = Tape(torch.ones(3, 5, 4), torch.ones(3, 5, 4))
    found.get_model().decoder.carried.keep(True, [tape], torch.ones(3, 5))
    return found


def saved(trainer):
    """The extra state that a checkpoint gets."""
    written = []
    carried.save_with_tapes(lambda trainer, name, extra: written.append(extra), trainer, "", {})
    return written[0]


def test_tapes_come_back():
    state, other = saved(reading()), trainer()
    assert carried.load_with_tapes(lambda trainer: state, other) is state
    [tape], words = other.get_model().decoder.carried.take(True, 3)
    assert tape.hidden.shape == (3, 2, 4) and words.shape == (3, 2)


@pytest.mark.parametrize(
    "before", [trainer(), trainer(Namespace()), trainer(Namespace(carried="of another model"))]
)
def test_nothing_is_added_without_tapes(before):
    assert saved(before) == {}
    assert carried.load_with_tapes(lambda trainer: {"epoch": 1}, before) == {"epoch": 1}
    assert carried.load_with_tapes(lambda trainer: None, before) is None


def test_several_processes_neither_keep_nor_take_tapes():
    assert saved(reading(processes=2)) == {}
    state, other = saved(reading()), trainer(processes=2)
    carried.load_with_tapes(lambda trainer: state, other)
    assert other.get_model().decoder.carried.take(True, 3) is None
