"""What tells the dictionaries of a checkpoint's model from those of other data."""

from argparse import Namespace

import pytest
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask

from fairseq_lstmn.checkpoints import dictionaries
from fairseq_lstmn.errors import InputError
from tests.checkpoints.files import save


class TwoSides(FairseqTask):
    """Translates ``source`` to ``target``, texts of which each word is known."""

    def __init__(self, source, target, data="folder"):
        super().__init__(cfg=Namespace(data=data))
        self.sides = [dictionary(source), dictionary(target)]

    source_dictionary = property(lambda self: self.sides[0])
    target_dictionary = property(lambda self: self.sides[1])


def dictionary(words):
    found = Dictionary()
    for word in words.split():
        found.add_symbol(word)
    return found


def test_the_same_words_are_taken():
    state = TwoSides("a b c", "x y").state_dict()
    TwoSides("a b c", "x y").load_state_dict(state)


@pytest.mark.parametrize(
    "source, target, side",
    [
        ("a b d", "x y", "source"),
        ("a c b", "x y", "source"),  # a word's number is its place
        ("a b c", "x z", "target"),
    ],
)
def test_as_many_other_words_are_not(source, target, side):
    state = TwoSides("a b c", "x y").state_dict()
    with pytest.raises(
        dictionaries.OtherWords,
        match=f"its {side} dictionary has other words than the one of folder",
    ):
        TwoSides(source, target).load_state_dict(state)


def test_the_tasks_own_state_stays():
    task = TwoSides("a", "x")
    task.state.merge_state_dict({"own": 1})
    state = task.state_dict()
    assert state["own"] == 1
    other = TwoSides("a", "x")
    other.load_state_dict(state)
    assert other.state.state_dict == {"own": 1}


def test_a_checkpoint_without_a_record_is_taken():
    TwoSides("a", "x").load_state_dict({})


def test_a_task_without_text_has_no_record():
    assert dictionaries.sums(FairseqTask(cfg=None)) == {}


def resume(path, task):
    """What a trainer does with a checkpoint, as far as words are concerned."""

    def load(trainer, filename):
        return checkpoint_utils.load_checkpoint_to_cpu(filename)["extra_state"]

    return dictionaries.resume_with_same_dictionaries(load, Namespace(task=task), path)


@pytest.fixture
def checkpoint(tmp_path):
    state = TwoSides("a b", "x y").state_dict()
    return save(tmp_path / "checkpoint_last.pt", task_state=state)


def test_a_training_is_resumed_with_the_same_words(checkpoint):
    assert resume(checkpoint, TwoSides("a b", "x y"))["train_iterator"]["epoch"] == 2


def test_a_training_is_not_resumed_with_other_words(checkpoint):
    with pytest.raises(InputError) as error:
        resume(checkpoint, TwoSides("a b", "x z", data="data-bin"))
    line = f"{checkpoint}: its target dictionary has other words than the one of data-bin"
    assert str(error.value) == line


@pytest.mark.parametrize("task_state", [{}, None])
def test_a_training_without_a_record_is_resumed(tmp_path, task_state):
    path = save(tmp_path / "checkpoint_last.pt", task_state=task_state)
    resume(path, TwoSides("a", "x"))


def test_a_training_that_begins_has_no_words_to_compare():
    begun = dictionaries.resume_with_same_dictionaries(
        lambda trainer, filename: None, Namespace(task=TwoSides("a", "x")), "checkpoint_last.pt"
    )
    assert begun is None


def test_a_checkpoint_without_its_extra_state_is_read_as_it_is():
    state = {"model": {}, "task_state": {dictionaries.RECORDED: {"source": "a sum"}}}
    assert dictionaries.hand_record_to_trainer(lambda: state) == state
    assert "extra_state" not in state
