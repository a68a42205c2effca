"""Every kind of task: what its command writes, read; its units of resampling and its buckets."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fairseq.tasks.language_modeling import LanguageModelingTask

from fairseq_lstmn.compare.kinds import kind as kinds
from fairseq_lstmn.compare.kinds import language
from fairseq_lstmn.compare.kinds.classification import Answers, Classification
from fairseq_lstmn.compare.kinds.kind import Bucketing, kind_of, register
from fairseq_lstmn.compare.kinds.language import LanguageModelling, Tokens
from fairseq_lstmn.compare.kinds.recall import Recalled
from fairseq_lstmn.compare.kinds.translation import Translation, Translations
from fairseq_lstmn.compare.plan.options import score_options
from fairseq_lstmn.compare.stats.metrics import METRICS
from fairseq_lstmn.tasks.contiguous_language_modeling import ContiguousLanguageModelingTask
from fairseq_lstmn.tasks.sentence_pair_prediction import SentencePairPredictionTask


def recalled(examples, distances=None):
    count = len(examples)
    return Recalled(["v"] * count, np.array(examples), np.array(distances), None, None)


def answers(labels, lengths):
    return Answers(["no", "maybe", "yes"], None, np.array(labels), np.array(lengths))


def test_a_task_has_the_nearest_kind(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", [*kinds.KINDS])
    assert isinstance(kind_of(ContiguousLanguageModelingTask), LanguageModelling)
    assert isinstance(kind_of(SentencePairPredictionTask), Classification)

    @register
    class Contiguous(LanguageModelling):
        task = ContiguousLanguageModelingTask

    assert isinstance(kind_of(ContiguousLanguageModelingTask), Contiguous)
    assert not isinstance(kind_of(LanguageModelingTask), Contiguous)


@pytest.mark.parametrize("task", ["translation_from_pretrained_bart", "online_backtranslation"])
def test_a_task_without_a_dataclass_is_scored(task):
    options = score_options(Translation(), {"task": task, "lr": 1, "cpu": True}, {})
    assert options == {"task": task, "cpu": True, "gen-subset": "test"}


# what commands write

EVALUATED = "INFO:fairseq_cli.eval_lm:Evaluated 5 tokens in 0.0s (200.50 tokens/s)\n"
PERPLEXITY = "INFO:fairseq_cli.eval_lm:Loss (base 2): 4.3, Perplexity: 20.02\n"


@pytest.mark.parametrize(
    "begins",
    ["INFO:fairseq_cli.eval_lm:", "2026-11-28 14:26:05 | INFO | fairseq_cli.eval_lm | "],
    ids=["as by hydra 1.3", "as by hydra 1.0"],
)
def test_tokens_are_in_the_order_of_the_text(tmp_path, begins):
    log = (
        f"{begins}1 [ [-3.250000]\t</s> [-0.125000]\n"
        f"{begins}0 a [-1.500000]\tb [-2.000000]\t\x85 [-2.500000]\n"
    )
    read = LanguageModelling().read(tmp_path, log + EVALUATED + PERPLEXITY)
    predictions, speed, numbers, left_out = read
    assert predictions.words == ["a", "b", "\x85", "[", "</s>"] and speed == 200.5
    assert (numbers, left_out) == ([0, 1], 0)
    np.testing.assert_array_equal(predictions.log_probabilities, [-1.5, -2, -2.5, -3.25, -0.125])


@pytest.mark.parametrize("log", ["", EVALUATED, "INFO:fairseq_cli.eval_lm:0 a [-1.500000]\n"])
def test_a_scoring_that_has_not_come_to_its_end_gives_nothing(tmp_path, log):
    for kind in kinds.KINDS:
        assert kind.read(tmp_path, log) is None


def test_translations_are_the_best_hypotheses_by_number(tmp_path):
    (tmp_path / "generate-test.txt").write_text(
        "S-1\tdu\nT-1\tyou\nH-1\t-0.5\tyou@@\nD-1\t-0.5\tyou\nP-1\t-0.5\n"
        "H-1\t-0.9\tthou\nD-1\t-0.9\tthou\n"
        "S-0\tich bin\nT-0\tI am\nH-0\t-1\t\nD-0\t-1\t\nP-0\t\n"
        "Generate test with beam=5: BLEU4 = 0.00\n"
    )
    log = "... Translated 2 sentences (9 tokens) in 0.1s (20.00 sentences/s, 90.00 tokens/s)\n"
    skipped = "1,{} samples have invalid sizes and will be skipped, max_positions=(5, 5)\n"
    log = skipped.format("000") + skipped.format("001") + log  # it was killed and began anew
    predictions, speed, numbers, left_out = Translation().read(tmp_path, log)
    assert (numbers, left_out) == ([0, 1], 1_001)
    assert speed == 20.0
    assert predictions == Translations(["ich bin", "du"], ["", "you"], ["I am", "you"])


@pytest.mark.parametrize(
    "predictions, other",
    [
        (Tokens(["a"], np.ones(1)), Tokens(["b"], np.ones(1))),
        (Translations(["s"], ["x"], ["r"]), Translations(["s"], ["x"], ["q"])),
        (answers([0], [3]), answers([1], [3])),
        (recalled([0]), Recalled(["w"], np.array([0]), None, None, None)),
    ],
    ids=lambda predictions: type(predictions).__name__,
)
def test_what_is_right_is_known_of_every_kind(predictions, other):
    assert predictions.targets == predictions.targets != other.targets


# units of resampling


@pytest.mark.parametrize(
    "predictions, units",
    [
        # a sentence with its end
        (Tokens("a b </s> </s> c </s> d".split(), None), [0, 0, 0, 1, 2, 2, 3]),
        # blocks of a text without sentences
        (Tokens(["a"] * 80, None), [0] * 35 + [1] * 35 + [2] * 10),
        (recalled([3, 3, 5, 7, 7]), [0, 0, 1, 2, 2]),
        (Translations([], [], ["a", "a", "b"]), [0, 1, 2]),
        (answers([1, 1, 0], [1, 1, 1]), [0, 1, 2]),
    ],
    ids=["sentences", "blocks", "recall", "translation", "classification"],
)
def test_units(predictions, units):
    assert predictions.units().tolist() == units


# buckets


@pytest.fixture
def cut(monkeypatch):
    """Cuts predictions: {name: the label of each}; ``counts`` are of words in training."""

    def named(predictions, counts=None):
        monkeypatch.setattr(language, "word_counts", lambda *where: counts)
        bucketings = predictions.bucketings(None if counts is None else "data", "train")
        return {one.name: [one.labels[number] for number in one.index] for one in bucketings}

    return named


def test_tokens_by_frequency_in_training(cut):
    counts = {"one": 1, "nine": 9, "ten": 10, "99": 99, "100": 100, "999": 999, "1000": 1000}
    counts.update({"9999": 9999, "10000": 10_000, "zero": 0})
    words = ["new", "zero", *counts]
    labels = cut(Tokens(words, None), counts)["frequency in training"]
    assert dict(zip(words, labels)) == {
        **dict.fromkeys(["new", "zero"], "0 (unknown)"),
        **dict.fromkeys(["one", "nine"], "1-9"),
        **dict.fromkeys(["ten", "99"], "10-99"),
        **dict.fromkeys(["100", "999"], "100-999"),
        **dict.fromkeys(["1000", "9999"], "1,000-9,999"),
        "10000": "10,000 and more",
    }


@pytest.mark.parametrize(
    "distance, label",
    [(1, "1-10"), (10, "1-10"), (11, "11-50"), (50, "11-50"), (51, "51-200"), (200, "51-200")]
    + [(201, "more than 200")],
)
def test_the_last_occurrence_counts_not_the_first(cut, distance, label):
    words = ["x"] * 3 + [f"w{number}" for number in range(distance - 1)] + ["x"]
    labels = cut(Tokens(words, None))["distance to its last occurrence"]
    assert labels[:3] == ["never", "1-10", "1-10"] and labels[-1] == label


def test_tokens_by_their_position_in_the_sentence(cut):
    words = ["a"] * 41 + ["</s>", "b", "</s>"]
    labels = cut(Tokens(words, None))["position in the sentence"]
    assert labels == (
        ["1"]
        + ["2-5"] * 4
        + ["6-10"] * 5
        + ["11-20"] * 10
        + ["21-40"] * 20
        + ["more than 40"] * 2
        + ["1", "2-5"]
    )


def test_what_is_not_known_is_not_cut_by(cut):
    assert set(cut(Tokens(["a", "b"], None))) == {"distance to its last occurrence"}


def test_no_bucket_is_empty():
    index = np.array([2, 0, 2])
    assert Bucketing.occupied("any", "abc", index).labels == ["a", "c"]
    assert Bucketing.occupied("any", "abc", index).index.tolist() == [1, 0, 1]


def test_words_are_counted_in_the_training_text(data):
    text = Path(data).parent.joinpath("train").read_text().split() * 2
    counts = language.word_counts(f"{data}:{data}", "train")
    letters = {word: count for word, count in counts.items() if count and len(word) == 1}
    assert letters == Counter(text)
    assert counts["</s>"] == 120 and counts["unheard of"] == 0


def test_translations_by_quarters_of_the_reference_lengths(cut):
    references = [" ".join("w" * length) for length in range(1, 9)]
    labels = cut(Translations([], [], references))["length of the reference"]
    assert labels == [label for label in ("1-2", "3-4", "5-6", "7-8") for _ in range(2)]


def test_lengths_that_repeat_give_fewer_buckets(cut):
    labels = cut(Translations([], [], ["w"] * 9 + ["w w w"]))["length of the reference"]
    assert labels == ["1"] * 9 + ["2-3"]


def test_answers_by_length_and_right_class(cut):
    assert cut(answers([2, 0, 2, 0], [3, 1, 9, 7])) == {
        "length": ["2-3", "1", "8-9", "4-7"],
        "class": ["yes", "no", "yes", "no"],
    }


def test_what_is_recalled_by_distance(cut):
    assert cut(recalled([0] * 4, [3, 9, 1, 5])) == {
        "tokens from the value to its question": ["2-3", "6-9", "1", "4-5"]
    }


def test_the_score_of_a_bucket_is_of_its_items_and_the_mean_over_seeds():
    bucketing = Bucketing("any", ["odd", "even"], np.array([0, 1, 0]))
    losses = np.log([[2.0, 3.0, 8.0], [4.0, 5.0, 16.0]])
    statistics = np.stack([losses, np.ones_like(losses)], axis=-1)
    scores = bucketing.scores(METRICS["perplexity"], statistics)
    assert scores == pytest.approx([(4 + 8) / 2, (3 + 5) / 2])


def test_the_score_of_a_bucket_with_an_impossible_token_is_none():
    bucketing = Bucketing("any", ["odd", "even"], np.array([0, 1]))
    statistics = np.array([[[0.0, 1.0], [np.inf, 1.0]]])
    assert bucketing.scores(METRICS["perplexity"], statistics) == [1.0, None]


def test_a_mean_over_classes_is_not_taken_within_one():
    by_length, by_class = answers([0, 1], [1, 1]).bucketings(None, "train")
    assert (by_length.excludes, by_class.excludes) == ((), ("macro-f1",))
