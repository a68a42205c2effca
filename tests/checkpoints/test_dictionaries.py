"""What tells the dictionaries of a checkpoint's model from those of other data."""

import pytest
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask

from fairseq_lstmn.checkpoints import dictionaries


class TwoSides(FairseqTask):
    """Translates ``source`` to ``target``, texts of which each word is known."""

    def __init__(self, source, target):
        super().__init__(cfg=None)
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
    with pytest.raises(dictionaries.OtherWords, match=f"its {side} dictionary has other words"):
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
