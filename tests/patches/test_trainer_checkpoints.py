"""From which checkpoint a training goes on, with which tapes and which words."""

from argparse import Namespace

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.language_decoder import CarriedTapes
from fairseq_lstmn.modules.output_layer import AttentionalOutput
from fairseq_lstmn.ops import Tape
from fairseq_lstmn.patches import checkpoint_saving, trainer_checkpoints

from .files import CreatesFile, save, small_state
from .test_dictionaries import TwoSides

SAVED_AS = CarriedTapes.SAVED_AS


def load_to_cpu(trainer, filename):
    return checkpoint_utils.load_checkpoint_to_cpu(filename)


def go_on(path, restore_file="checkpoint_last.pt", value=1.0):
    """Go on from a file, as a training that was asked to go on from ``restore_file``.

    All weights of its model, one of this package, are ``value`` then.
    """
    settings = Namespace(save_dir=str(path.parent), restore_file=str(restore_file))
    model = AttentionalOutput(2)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, value)
    trainer = Namespace(cfg=Namespace(checkpoint=settings), checkpoint_suffix="", model=model)
    return trainer_checkpoints.load_or_go_back(load_to_cpu, trainer, str(path))


def test_the_newest_sound_checkpoint_is_taken(tmp_path, caplog):
    for updates in (8, 20, 9):
        history = [{**small_state()["optimizer_history"][0], "num_updates": updates}]
        save(tmp_path / f"checkpoint_1_{updates}.pt", optimizer_history=history)
    last = tmp_path / "checkpoint_last.pt"
    last.write_bytes(b"damaged")
    assert go_on(last)["optimizer_history"][0]["num_updates"] == 20
    [message] = caplog.messages
    assert message.startswith(f"{last}: cannot be read")
    assert f"goes on from {tmp_path / 'checkpoint_1_20.pt'}" in message


def test_training_without_a_sound_checkpoint_ends_in_one_line(tmp_path):
    last = tmp_path / "checkpoint_last.pt"
    for path in (last, tmp_path / "checkpoint1.pt"):
        path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"^{last}: .*{tmp_path} holds no sound one") as error:
        go_on(last)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["checkpoint3.pt", "checkpoint_last.pt"])
def test_a_damaged_checkpoint_that_was_named_is_not_replaced(tmp_path, name):
    save(tmp_path / "checkpoint2.pt")
    path = tmp_path / name
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=f"^{path}: cannot be read"):
        go_on(path, path)


def test_a_refused_checkpoint_is_not_replaced(tmp_path):
    save(tmp_path / "checkpoint2.pt")
    last = tmp_path / "checkpoint_last.pt"
    save(last, extra_state={"payload": CreatesFile(tmp_path / "created")})
    with pytest.raises(InputError, match="refused"):
        go_on(last)


def test_weights_that_are_nan_are_named_with_their_checkpoint(tmp_path):
    path = tmp_path / "checkpoint_last.pt"
    save(path)
    with pytest.raises(InputError, match=f"^{path}: .* NaN or infinity$"):
        go_on(path, value=float("nan"))


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
    reader = trainer()
    tape = Tape(torch.ones(3, 5, 4), torch.ones(3, 5, 4))
    reader.get_model().decoder.carried.store(True, [tape], torch.ones(3, 5))
    return reader


def extra_state(trainer):
    return trainer_checkpoints.save_with_tapes(lambda trainer, name, extra: extra, trainer, "", {})


def saved(trainer, no_save=False):
    """The extra state that a checkpoint gets."""
    return checkpoint_saving.gather_tapes(
        lambda settings, trainer: extra_state(trainer), Namespace(no_save=no_save), trainer
    )


def load(state, trainer):
    """Load ``state``, which comes back; the tapes that the model then takes, if any."""
    loaded = trainer_checkpoints.load_with_tapes(
        lambda trainer, filename: state, trainer, "last.pt"
    )
    assert loaded is state
    carried = CarriedTapes.of(trainer.get_model())
    return carried and carried.take(True, 3)


def test_tapes_come_back():
    [tape], words = load(saved(reading()), trainer())
    assert tape.hidden.shape == (3, 2, 4) and words.shape == (3, 2)


def test_tapes_of_version_0_2_0_come_back():
    [state] = saved(reading())[SAVED_AS]
    assert load({SAVED_AS: state}, trainer()) is not None


@pytest.mark.parametrize(
    "other", [trainer(Namespace()), trainer(Namespace(carried="of another model"))]
)
def test_nothing_is_added_without_tapes(other):
    assert saved(other) == {}
    for state in ({"epoch": 1}, None):
        assert load(state, other) is None


@pytest.mark.parametrize("state", [saved(trainer()), {"epoch": 1}, None])
def test_without_tapes_a_model_starts_with_nothing(state):
    assert load(state, trainer()) is None


def test_a_process_in_trouble_saves_without_the_others():
    """What it saves alone has no tapes, neither its own nor those of an earlier save."""
    alone = reading()
    assert SAVED_AS in saved(alone)
    assert extra_state(alone) == {}


def test_nothing_is_gathered_where_nothing_is_saved():
    assert saved(reading(), no_save=True) == {}


def test_another_number_of_processes_starts_with_nothing_and_says_so(caplog):
    assert load(saved(reading()), trainer(processes=2)) is None
    line = "last.pt: carried tapes of 1 processes, this training has 2; they start empty"
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", line)]


def resume(path, task, *reset_optimizer, **changes):
    """What a trainer does with a checkpoint, as far as words are concerned."""

    def load(trainer, filename, reset_optimizer):
        return checkpoint_utils.load_checkpoint_to_cpu(filename)["extra_state"]

    path = save(path / "last.pt", **{"task_state": TwoSides().state_dict(), **changes})
    return trainer_checkpoints.resume_with_same_dictionaries(
        load, Namespace(task=task), path, *reset_optimizer
    )


def test_a_training_is_resumed_with_the_same_words(tmp_path):
    assert resume(tmp_path, TwoSides())["train_iterator"]["epoch"] == 2


def test_a_training_is_not_resumed_with_other_words(tmp_path):
    with pytest.raises(InputError) as error:
        resume(tmp_path, TwoSides(target="x z", data="data-bin"))
    line = f"{tmp_path}/last.pt: its target dictionary has other words than the one of data-bin"
    assert str(error.value) == line


def test_a_training_that_begins_from_its_weights_has_other_words_with_a_warning(tmp_path, caplog):
    resume(tmp_path, TwoSides(target="x z"), True)
    assert caplog.messages == [
        f"{tmp_path}/last.pt: its target dictionary has other words than the one of folder; each"
        " word begins as the one in its place there"
    ]


@pytest.mark.parametrize("task_state", [{}, None])
def test_a_training_without_words_to_compare_is_resumed(tmp_path, task_state):
    resume(tmp_path, TwoSides(), task_state=task_state)


def test_a_training_that_begins_has_no_words_to_compare():
    begun = trainer_checkpoints.resume_with_same_dictionaries(
        lambda trainer, filename, reset_optimizer: None, Namespace(task=TwoSides()), "last.pt"
    )
    assert begun is None
