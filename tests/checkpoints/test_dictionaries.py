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


def test_a_record_of_version_0_2_0_is_compared():
    sums = dictionaries.sums(TwoSides("a b", "x"))
    task = TwoSides("a b", "x")
    task.load_state_dict({"dictionaries": sums, "own": 1})
    assert task.state.state_dict == {"own": 1}
    with pytest.raises(dictionaries.OtherWords):
        TwoSides("a c", "x").load_state_dict({"dictionaries": sums})


def test_dictionaries_that_a_task_itself_keeps_there_stay():
    task = TwoSides("a", "x")
    task.state.merge_state_dict({"dictionaries": ["its own"]})
    other = TwoSides("a", "x")
    other.load_state_dict(task.state_dict())
    assert other.state.state_dict == {"dictionaries": ["its own"]}


class SeveralPairs(FairseqTask):
    """Has a source and a target only where it answers, for one pair of its languages."""

    def __init__(self, pair=(), **texts):
        super().__init__(cfg=Namespace(data="folder"))
        self.dicts = {language: dictionary(words) for language, words in texts.items()}
        self.pair = pair

    source_dictionary = property(lambda self: self.dicts[self.pair[0]])
    target_dictionary = property(lambda self: self.dicts[self.pair[1]])


def test_a_task_of_several_pairs_is_compared_by_language():
    state = SeveralPairs(pair=("de", "de"), de="a b", en="x y", fr="p q").state_dict()
    for pair in (("en", "de"), ("de", "en"), ()):
        SeveralPairs(pair, de="a b", en="x y").load_state_dict(state)
    with pytest.raises(dictionaries.OtherWords, match="its en dictionary has other words"):
        SeveralPairs(de="a b", en="x z").load_state_dict(state)


def test_a_dictionary_that_cannot_be_read_now_is_not_recorded():
    class ReadsLater(TwoSides):
        @property
        def target_dictionary(self):
            raise FileNotFoundError("dict.txt")

    assert set(dictionaries.sums(ReadsLater("a", "x"))) == {"source"}


class Labelled(TwoSides):
    """Tells texts apart by two labels."""

    def __init__(self, labels):
        super().__init__("a b", "a b")
        self.label_dictionary = dictionary(labels)


def test_as_many_other_labels_are_not():
    state = Labelled("no yes").state_dict()
    Labelled("no yes").load_state_dict(state)
    with pytest.raises(dictionaries.OtherWords, match="its label dictionary has other words"):
        Labelled("yes no").load_state_dict(state)


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


def resume(path, task, *reset_optimizer):
    """What a trainer does with a checkpoint, as far as words are concerned."""

    def load(trainer, filename, reset_optimizer):
        return checkpoint_utils.load_checkpoint_to_cpu(filename)["extra_state"]

    trainer = Namespace(task=task)
    return dictionaries.resume_with_same_dictionaries(load, trainer, path, *reset_optimizer)


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


def test_a_training_that_begins_from_its_weights_has_other_words_with_a_warning(checkpoint, caplog):
    resume(checkpoint, TwoSides("a b", "x z"), True)
    assert caplog.messages == [
        f"{checkpoint}: its target dictionary has other words than the one of folder; each word"
        " begins as the one in its place there"
    ]


@pytest.mark.parametrize("task_state", [{}, None])
def test_a_training_without_a_record_is_resumed(tmp_path, task_state):
    path = save(tmp_path / "checkpoint_last.pt", task_state=task_state)
    resume(path, TwoSides("a", "x"))


def test_a_training_that_begins_has_no_words_to_compare():
    begun = dictionaries.resume_with_same_dictionaries(
        lambda trainer, filename, reset_optimizer: None,
        Namespace(task=TwoSides("a", "x")),
        "checkpoint_last.pt",
    )
    assert begun is None


def test_a_checkpoint_without_its_extra_state_is_read_as_it_is():
    state = {"model": {}, "task_state": {dictionaries.RECORDED: {"source": "a sum"}}}
    assert dictionaries.hand_record_to_trainer(lambda: state) == state
    assert "extra_state" not in state
