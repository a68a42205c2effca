"""Examples of associative recall: what they ask, and that each is a function of its number."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq_lstmn.data.recall import Recall, RecallDataset, stream


@st.composite
def recalls(draw):
    fewest = draw(st.integers(1, 6))
    most = draw(st.integers(fewest, 9))
    return Recall(fewest, most, draw(st.integers(most, 20)), draw(st.integers(1, 20)))


def rows(recall, start, numbers):
    """(tokens, targets) of every example as words, without what is behind their end."""
    dictionary = recall.dictionary()
    tokens, targets = recall.examples(start, numbers, dictionary)
    lengths = (tokens != dictionary.pad()).sum(axis=1)
    return [
        tuple([dictionary[symbol] for symbol in side[:length]] for side in pair)
        for *pair, length in zip(tokens, targets, lengths)
    ]


@given(recall=recalls(), seed=st.integers(0, 2**40))
def test_every_key_is_asked_for_once_and_answered_by_its_value(recall, seed):
    for tokens, targets in rows(recall, stream(seed), np.arange(20)):
        n = len(tokens) // 3
        assert recall.fewest <= n <= recall.most
        keys, values, questions = tokens[0 : 2 * n : 2], tokens[1 : 2 * n : 2], tokens[2 * n :]
        assert len(set(keys)) == n and sorted(questions) == sorted(keys)
        assert {key[0] for key in keys} == {"k"} and {value[0] for value in values} == {"v"}
        answers = dict(zip(keys, values))
        assert targets == ["<pad>"] * (2 * n) + [answers[key] for key in questions]


@given(
    recall=recalls(), seed=st.integers(0, 9), numbers=st.lists(st.integers(0, 10**9), min_size=1)
)
def test_an_example_depends_on_its_stream_and_number_alone(recall, seed, numbers):
    start = stream(seed)
    together = rows(recall, start, numbers)
    assert together == [row for number in numbers for row in rows(recall, start, [number])]


def test_streams_and_numbers_differ():
    recall = Recall(4, 4, 16, 16)
    drawn = [
        {str(row) for row in rows(recall, stream(*words), np.arange(2000))}
        for words in ((0, 1), (0, 2), (1, 0), (2, 0))
    ]
    assert all(len(examples) == 2000 for examples in drawn)
    assert not any(one & other for one, other in combinations(drawn, 2))


def test_pairs_keys_values_and_orders_are_equally_likely():
    """Counts of 20,000 draws stay within five standard deviations of their mean."""
    recall = Recall(2, 4, 5, 3)
    examples = rows(recall, stream(7), np.arange(20_000))
    of_three = [tokens for tokens, _ in examples if len(tokens) == 9]

    def check(draws, kinds):
        counts = np.unique(draws, return_counts=True)[1]
        mean = len(draws) / kinds
        assert len(counts) == kinds
        assert abs(counts - mean).max() < 5 * np.sqrt(mean)

    check([len(tokens) for tokens, _ in examples], 3)
    check([" ".join(tokens[0:6:2]) for tokens in of_three], 5 * 4 * 3)
    check([" ".join(tokens[1:6:2]) for tokens in of_three], 3**3)
    check([str([tokens[0:6:2].index(key) for key in tokens[6:]]) for tokens in of_three], 6)


@pytest.fixture
def dataset():
    recall = Recall(2, 5, 8, 8)
    return RecallDataset(recall, stream(0), recall.dictionary(), 50, trains=True)


def numbers(dataset):
    return [dataset[index] for index in range(len(dataset))]


def test_every_epoch_goes_on_with_the_stream(dataset):
    assert numbers(dataset) == list(range(50))
    for epoch in (3, 1, 2):  # in any order, as after a resume
        dataset.set_epoch(epoch)
        assert numbers(dataset) == list(range(50 * (epoch - 1), 50 * epoch))


def test_what_is_not_for_training_stays(dataset):
    dataset.trains = False
    dataset.set_epoch(9)
    assert numbers(dataset) == list(range(50))


def test_pairs_grow_until_there_are_the_most():
    recall = Recall(1, 20, 24, 24)
    dataset = RecallDataset(recall, stream(0), recall.dictionary(), 500, trains=True, growth=2)
    longest = []
    for epoch in range(1, 10):
        dataset.set_epoch(epoch)
        longest.append(int(dataset.sizes.max()) // 3)
        batch = dataset.collater(numbers(dataset))
        assert batch["net_input"]["src_lengths"].tolist() == dataset.sizes.tolist()
        assert dataset.sizes.min() == 3
    assert longest == [4, 4, 8, 8, 16, 16, 20, 20, 20]


def test_pairs_grow_from_no_fewer_than_there_are(dataset):
    assert Recall(6, 9, 16, 16).of_epoch(1, growth=3) == Recall(6, 6, 16, 16)
    dataset.set_epoch(10**6)
    assert dataset.recall == dataset.whole


def test_a_batch_is_right_padded_and_counts_its_answers(dataset):
    dataset.set_epoch(2)
    batch = dataset.collater([dataset[index] for index in (3, 9, 4)])
    assert batch["id"].tolist() == [53, 59, 54] and batch["nsentences"] == 3
    tokens, lengths = batch["net_input"]["src_tokens"], batch["net_input"]["src_lengths"]
    assert lengths.tolist() == dataset.sizes[[3, 9, 4]].tolist()
    assert tokens.shape == batch["target"].shape == (3, lengths.max())
    pad = dataset.dictionary.pad()
    for row, targets, length in zip(tokens, batch["target"], lengths):
        assert row[:length].ne(pad).all() and row[length:].eq(pad).all()
        assert targets.ne(pad).sum() == length / 3
    assert batch["ntokens"] == lengths.sum() / 3


def test_batches_have_examples_of_about_a_length(dataset):
    batches = dataset.batch_by_size(dataset.ordered_indices(), max_sentences=5)
    sizes = [dataset.sizes[batch] for batch in batches]
    assert all(low.max() <= high.min() for low, high in zip(sizes, sizes[1:]))
    assert dataset.sizes.max() == 15 and dataset.num_tokens(3) == dataset.size(3)
