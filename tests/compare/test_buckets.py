"""The test items cut by what they are: who falls where, and what a piece scores."""

import numpy as np
import pytest

from fairseq_lstmn.compare.kinds.buckets import Bucketing, applies, bucket_scores, bucketings
from fairseq_lstmn.compare.kinds.items import Answers, Recalled, Tokens, Translations
from fairseq_lstmn.compare.stats.metrics import METRICS


def named(found):
    """Every bucketing as name -> the label of every item."""
    return {one.name: [one.labels[number] for number in one.index] for one in found}


def test_tokens_by_frequency_in_training():
    counts = {"one": 1, "nine": 9, "ten": 10, "99": 99, "100": 100, "999": 999, "1000": 1000}
    counts.update({"9999": 9999, "10000": 10_000, "zero": 0})
    words = ["new", "zero", *counts]
    labels = named(bucketings(Tokens(words, None), counts))["frequency in training"]
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
def test_the_last_occurrence_counts_not_the_first(distance, label):
    words = ["x"] * 3 + [f"w{number}" for number in range(distance - 1)] + ["x"]
    labels = named(bucketings(Tokens(words, None)))["distance to its last occurrence"]
    assert labels[:3] == ["never", "1-10", "1-10"] and labels[-1] == label


def test_tokens_by_their_position_in_the_sentence():
    words = ["a"] * 41 + ["</s>", "b", "</s>"]
    labels = named(bucketings(Tokens(words, None)))["position in the sentence"]
    assert labels == (
        ["1"]
        + ["2-5"] * 4
        + ["6-10"] * 5
        + ["11-20"] * 10
        + ["21-40"] * 20
        + ["more than 40"] * 2
        + ["1", "2-5"]
    )


def test_what_is_not_known_is_not_cut_by():
    assert set(named(bucketings(Tokens(["a", "b"], None)))) == {"distance to its last occurrence"}


def test_no_bucket_is_empty():
    found = bucketings(Tokens(["a", "a", "</s>"], None), {"a": 50})
    assert [one.labels for one in found] == [
        ["0 (unknown)", "10-99"],
        ["never", "1-10"],
        ["1", "2-5"],
    ]


def test_translations_by_quarters_of_the_reference_lengths():
    references = [" ".join("w" * length) for length in range(1, 9)]
    (found,) = bucketings(Translations([], [], references))
    assert (found.name, found.labels) == ("length of the reference", ["1-2", "3-4", "5-6", "7-8"])
    assert found.index.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_lengths_that_repeat_give_fewer_buckets():
    (found,) = bucketings(Translations([], [], ["w"] * 9 + ["w w w"]))
    assert (found.labels, found.index.tolist()) == (["1", "2-3"], [0] * 9 + [1])


def test_answers_by_length_and_right_class():
    items = Answers(["no", "maybe", "yes"], None, np.array([2, 0, 2, 0]), np.array([3, 1, 9, 7]))
    assert named(bucketings(items)) == {
        "length": ["2-3", "1", "8-9", "4-7"],
        "class": ["yes", "no", "yes", "no"],
    }


def test_what_is_recalled_by_distance():
    items = Recalled(["v"] * 4, np.zeros(4, int), np.array([3, 9, 1, 5]), None, None)
    assert named(bucketings(items)) == {
        "tokens from the value to its question": ["2-3", "6-9", "1", "4-5"]
    }


def test_the_score_of_a_bucket_is_of_its_items_and_the_mean_over_seeds():
    bucketing = Bucketing("any", ["odd", "even"], np.array([0, 1, 0]))
    losses = np.log([[2.0, 3.0, 8.0], [4.0, 5.0, 16.0]])
    statistics = np.stack([losses, np.ones_like(losses)], axis=-1)
    scores = bucket_scores(METRICS["perplexity"], bucketing, statistics)
    assert scores == pytest.approx([(4 + 8) / 2, (3 + 5) / 2])


def test_the_score_of_a_bucket_with_an_impossible_token_is_none():
    bucketing = Bucketing("any", ["odd", "even"], np.array([0, 1]))
    statistics = np.array([[[0.0, 1.0], [np.inf, 1.0]]])
    assert bucket_scores(METRICS["perplexity"], bucketing, statistics) == [1.0, None]


def test_a_mean_over_classes_is_not_taken_within_one():
    by_class, by_length = (Bucketing(name, [], None) for name in ("class", "length"))
    assert not applies(METRICS["macro-f1"], by_class)
    assert applies(METRICS["accuracy"], by_class) and applies(METRICS["macro-f1"], by_length)
