"""The batches of a task: examples beyond a limit are named, and a resumed run sees the same."""

from types import SimpleNamespace

import numpy as np
import pytest
from fairseq.data import FairseqDataset
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.errors import InputError

SIZES = np.array([3, 9, 4])


class Sized(FairseqDataset):
    """Examples of which nothing but the sizes (N,) is known."""

    def __init__(self, sizes):
        self.sizes = sizes

    def size(self, index):
        return self.sizes[index]


def filtered(limit, sizes=SIZES, **options):
    task, dataset = FairseqTask(SimpleNamespace(max_positions=limit)), Sized(sizes)
    task.datasets = {"train": None, "test": dataset}
    return task.filter_indices_by_size(np.arange(len(sizes)), dataset, limit, **options).tolist()


def test_what_fits_is_left():
    assert filtered(9) == [0, 1, 2]
    assert filtered(5, ignore_invalid_inputs=True) == [0, 2]


def test_an_example_that_is_too_long_is_named():
    with pytest.raises(InputError) as error:
        filtered(5)
    assert str(error.value) == (
        "test: Size of sample #1 is invalid (=9) since max_positions=5, skip this example with"
        " --skip-invalid-size-inputs-valid-test; see --max-positions 5"
    )


@pytest.mark.parametrize(
    "sizes, complaint",
    [
        (SIZES, "test: all 3 examples are longer than max_positions=2; see --max-positions 2"),
        (SIZES[:0], "test: holds no example"),
    ],
)
def test_data_of_which_nothing_is_left_is_named(sizes, complaint):
    with pytest.raises(InputError, match=complaint):
        filtered(2, sizes, ignore_invalid_inputs=True)


@pytest.mark.parametrize(
    "cfg, expected",
    [
        (None, True),
        (SimpleNamespace(), True),
        ({"own": 1}, True),
        (SimpleNamespace(rebuild_batches=False), False),
    ],
)
def test_a_config_keeps_its_own_word_on_rebuilding(cfg, expected):
    class Task(FairseqTask):
        def can_reuse_epoch_itr(self, dataset):
            if isinstance(cfg, dict):
                assert "own" in self.cfg and self.cfg["own"] == self.cfg.get("own")
            raise LookupError(getattr(self.cfg, "rebuild_batches", False))

    task = Task(cfg)
    with pytest.raises(LookupError) as seen:
        task.get_batch_iterator(dataset=None, update_epoch_batch_itr=False)
    assert seen.value.args == (expected,)
    assert task.cfg is cfg
