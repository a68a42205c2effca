"""What tells the dictionaries of a checkpoint's model from those of other data."""

from argparse import Namespace

import pytest
from fairseq.data import Dictionary
from fairseq.tasks import FairseqTask

from fairseq_lstmn.data import dictionaries
from fairseq_lstmn.data.dictionaries import OtherWords
from fairseq_lstmn.patches.checkpoint_loading import hand_dictionaries_to_trainer


def dictionary(words):
    known = Dictionary()
    for word in words.split():
        known.add_symbol(word)
    return known


class TwoSides(FairseqTask):
    """Translates ``source`` to ``target``, and may tell texts apart by ``label``."""

    def __init__(self, source="a b c", target="x y", label=None, data="folder"):
        super().__init__(cfg=Namespace(data=data))
        self.sides = [dictionary(source), dictionary(target)]
        if label is not None:
            self.label_dictionary = dictionary(label)

    source_dictionary = property(lambda self: self.sides[0])
    target_dictionary = property(lambda self: self.sides[1])


class SeveralPairs(FairseqTask):
    """Has a source and a target only where it answers, for one pair of its languages."""

    def __init__(self, pair=(), **texts):
        super().__init__(cfg=Namespace(data="folder"))
        self.dicts = {language: dictionary(words) for language, words in texts.items()}
        self.pair = pair

    source_dictionary = property(lambda self: self.dicts[self.pair[0]])
    target_dictionary = property(lambda self: self.dicts[self.pair[1]])


def test_the_same_words_are_taken():
    TwoSides(label="no yes").load_state_dict(TwoSides(label="no yes").state_dict())
    TwoSides().load_state_dict({})


@pytest.mark.parametrize(
    "words, side",
    [
        (dict(source="a b d"), "source"),
        (dict(source="a c b"), "source"),  # a word's number is its place
        (dict(target="x z"), "target"),
        (dict(label="yes no"), "label"),
    ],
)
def test_as_many_other_words_are_not(words, side):
    state = TwoSides(label="no yes").state_dict()
    complaint = f"its {side} dictionary has other words than the one of folder"
    with pytest.raises(OtherWords, match=complaint):
        TwoSides(**{"label": "no yes", **words}).load_state_dict(state)


def test_sums_of_version_0_2_0_are_compared():
    sums, task = dictionaries.sums(TwoSides()), TwoSides()
    task.load_state_dict({"dictionaries": sums, "own": 1})
    assert task.state.state_dict == {"own": 1}
    with pytest.raises(OtherWords):
        TwoSides("a c").load_state_dict({"dictionaries": sums})


@pytest.mark.parametrize("own", [{"own": 1}, {"dictionaries": ["its own"]}])
def test_the_tasks_own_state_stays(own):
    task, other = TwoSides(), TwoSides()
    task.state.merge_state_dict(own)
    state = task.state_dict()
    assert own.items() <= state.items()
    other.load_state_dict(state)
    assert other.state.state_dict == own


def test_a_task_of_several_pairs_is_compared_by_language():
    state = SeveralPairs(pair=("de", "de"), de="a b", en="x y", fr="p q").state_dict()
    for pair in (("en", "de"), ("de", "en"), ()):
        SeveralPairs(pair, de="a b", en="x y").load_state_dict(state)
    with pytest.raises(OtherWords, match="its en dictionary has other words"):
        SeveralPairs(de="a b", en="x z").load_state_dict(state)


def test_a_dictionary_that_cannot_be_read_now_has_no_sum():
    class ReadsLater(TwoSides):
        @property
        def target_dictionary(self):
            raise FileNotFoundError("dict.txt")

    assert set(dictionaries.sums(ReadsLater())) == {"source"}
    assert dictionaries.sums(FairseqTask(cfg=None)) == {}


def test_a_checkpoint_without_its_extra_state_is_read_as_it_is():
    state = {"model": {}, "task_state": {dictionaries.RECORDED: {"source": "a sum"}}}
    assert hand_dictionaries_to_trainer(lambda: state) == state
    assert "extra_state" not in state
