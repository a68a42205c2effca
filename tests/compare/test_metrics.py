"""Each metric is a function of sums, and what sklearn and sacrebleu say of the same answers."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF
from sklearn.metrics import f1_score

from fairseq_lstmn.compare.kinds.classification import Answers
from fairseq_lstmn.compare.kinds.kind import KINDS
from fairseq_lstmn.compare.kinds.language import Tokens
from fairseq_lstmn.compare.kinds.recall import Recalled
from fairseq_lstmn.compare.kinds.translation import Translations
from fairseq_lstmn.compare.stats.metrics import METRICS, grouped


def of_sums(name, items, rows=slice(None)):
    """A metric's score of some of the items."""
    metric = METRICS[name]
    return metric.score(metric.statistics(items)[rows].sum(axis=0))


def answers(count, classes, answered=None, seed=1):
    """Random answers, of the first ``answered`` classes alone."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(classes), size=count)
    probabilities[:, answered:] = 0
    labels = generator.integers(answered or classes, size=count)
    return Answers(
        [f"c{number}" for number in range(classes)], probabilities, labels, np.ones(count, int)
    )


def translations(count, seed=1, text=1):
    """Random sentences by ``text`` and outputs by ``seed``, in which most words are right."""
    sentences, generator = np.random.default_rng(text), np.random.default_rng(seed)
    words = np.array("The the cat's 1,000 dogs, sat on a mat . and ran home !".split())
    references, hypotheses = [], []
    for length in sentences.integers(1, 20, size=count):
        right = sentences.choice(words, size=length)
        kept = generator.random(length) < 0.8
        references.append(" ".join(right))
        hypotheses.append(" ".join(np.where(kept, right, generator.choice(words, size=length))))
    return Translations(["?"] * count, hypotheses, references)


def recalled(right, logs):
    """Questions with such answers; their values, examples and distances do not matter."""
    return Recalled(["v"] * len(right), None, None, np.array(right), np.array(logs))


def test_metrics_are_named_as_plans_spell_them():
    assert {name: metric.higher_is_better for name, metric in METRICS.items()} == {
        "perplexity": False,
        "bleu": True,
        "chrf": True,
        "exact-match": True,
        "accuracy": True,
        "macro-f1": True,
    }
    assert all(metric.name == name for name, metric in METRICS.items())


def test_perplexity_is_of_tokens_not_of_sentences():
    items = Tokens(["a", "</s>", "</s>"], np.log([0.5, 0.25, 0.125]))
    assert of_sums("perplexity", items) == pytest.approx(4.0)


def test_perplexity_of_an_impossible_or_hopeless_token_is_infinite():
    for worst in (-np.inf, -1e5):
        with np.errstate(over="raise"):
            assert of_sums("perplexity", Tokens(["a", "b"], np.array([-1.0, worst]))) == np.inf


def test_accuracy_and_exact_match_are_percentages():
    items = Answers(["no", "yes"], np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]), None)
    assert of_sums("accuracy", items) == 50.0
    items = Translations(["?"] * 4, ["a b", "a", "A", ""], ["a b", "a b", "a", ""])
    assert of_sums("exact-match", items) == 50.0


def test_what_is_recalled_has_accuracy_and_perplexity():
    items = recalled([True, False, True, True], np.log([0.5, 0.25, 0.5, 1.0]))
    assert of_sums("accuracy", items) == 75.0
    assert of_sums("perplexity", items) == pytest.approx(2.0)


@pytest.mark.parametrize("classes, answered", [(2, None), (5, None), (5, 3)])
def test_macro_f1_is_that_of_sklearn(classes, answered):
    items = answers(200, classes, answered)
    given = items.probabilities.argmax(axis=1)
    for rows in (slice(None), slice(3)):
        wanted = f1_score(
            items.labels[rows],
            given[rows],
            labels=range(classes),
            average="macro",
            zero_division=0,
        )
        assert of_sums("macro-f1", items, rows) == pytest.approx(100 * wanted)


@pytest.mark.parametrize("name, metric", [("bleu", BLEU()), ("chrf", CHRF())])
def test_scores_of_sums_are_those_of_sacrebleu(name, metric):
    """Of single sentences too: too short for some n-grams, or without a match of some length."""
    items = translations(60)
    found, expected = [], []
    for rows in (slice(None), slice(30), *(slice(at, at + 1) for at in range(60))):
        corpus = metric.corpus_score(items.hypotheses[rows], [items.references[rows]])
        expected.append(corpus.score)
        found.append(of_sums(name, items, rows))
    assert found == pytest.approx(expected, rel=1e-12)


def test_bleu_of_sentences_too_short_for_it_is_that_of_a_corpus():
    assert of_sums("bleu", Translations(["?"], ["a b"], ["a b"])) == 0.0


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_nothing_in_common_scores_zero(name):
    assert of_sums(name, Translations(["?"] * 2, ["xyz", ""], ["abc", "abc"])) == 0.0


def test_references_of_another_test_set_are_not_taken_from_the_cache():
    first, second = translations(20, text=1), translations(20, text=2)
    mixed = Translations(first.sources, first.hypotheses, second.references)
    corpus = BLEU().corpus_score(mixed.hypotheses, [mixed.references])
    of_sums("bleu", first)
    assert of_sums("bleu", mixed) == pytest.approx(corpus.score)


@pytest.mark.parametrize(
    "name, kind", [(metric.name, type(kind).__name__) for kind in KINDS for metric in kind.metrics]
)
def test_scores_of_many_sums_are_those_of_each(name, kind):
    metric = METRICS[name]
    predictions = {
        "LanguageModelling": Tokens(["a"] * 24, -np.random.default_rng(1).random(24)),
        "Translation": translations(24),
        "Classification": answers(24, 3),
        "Recall": recalled(*np.random.default_rng(1).random((2, 24)).round()),
    }[kind]
    sums = metric.statistics(predictions).reshape(2, 3, 4, -1).sum(axis=2)
    scores = metric.score(sums)
    assert scores.shape == (2, 3)
    assert scores[1, 2] == pytest.approx(of_sums(name, predictions, slice(20, 24)), rel=1e-12)


def test_grouped_sums_rows_of_the_same_number():
    statistics = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    assert grouped(statistics, np.array([1, 0, 1])).tolist() == [[2.0, 20.0], [4.0, 40.0]]
