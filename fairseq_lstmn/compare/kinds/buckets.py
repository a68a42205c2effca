"""Where two models differ: the test items cut by what they are, and a score for each piece.

N items, L buckets, K seeds, d statistics an item.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairseq_lstmn.compare.kinds.items import Items, Recalled, Tokens, Translations
from fairseq_lstmn.compare.stats.metrics import END, Metric, grouped, units
from fairseq_lstmn.compare.types import Floats, Indices

COUNTS = ["0 (unknown)", "1-9", "10-99", "100-999", "1,000-9,999", "10,000 and more"]
DISTANCES = ["never", "1-10", "11-50", "51-200", "more than 200"]
POSITIONS = ["1", "2-5", "6-10", "11-20", "21-40", "more than 40"]
QUANTILES = [0.25, 0.5, 0.75, 1.0]


@dataclass(frozen=True)
class Bucketing:
    """One way to cut the items.

    Attributes:
        name: by what they are cut.
        labels: of the buckets (L), none of which is empty.
        index: the bucket of every item (N).
    """

    name: str
    labels: list[str]
    index: Indices


def bucketings(items: Items, counts: Mapping[str, int] | None = None) -> list[Bucketing]:
    """Every way to cut these items; ``counts`` is word -> occurrences in the training text.

    Without ``counts`` tokens are not cut by frequency, without ends of sentences in the text not
    by their position in one.
    """
    if isinstance(items, Tokens):
        by_counts = [] if counts is None else [by_frequency(items.words, counts)]
        by_position = [in_sentence(items)] if END in items.words else []
        return [*by_counts, by_recency(items.words), *by_position]
    if isinstance(items, Translations):
        lengths = [len(reference.split()) for reference in items.references]
        return [by_length("length of the reference", lengths)]
    if isinstance(items, Recalled):
        return [by_length("tokens from the value to its question", items.distances)]
    return [by_length("length", items.lengths), occupied("class", items.classes, items.labels)]


def by_frequency(words: Sequence[str], counts: Mapping[str, int]) -> Bucketing:
    """How often the word occurs in the training text."""
    occurrences = [counts.get(word, 0) for word in words]
    index = np.digitize(occurrences, [1, 10, 100, 1_000, 10_000])
    return occupied("frequency in training", COUNTS, index)


def by_recency(words: Sequence[str]) -> Bucketing:
    """How many tokens ago the word occurred last in the test text."""
    last: dict[str, int] = {}
    distances = []
    for position, word in enumerate(words):
        distances.append(position - last.get(word, position))
        last[word] = position
    index = np.digitize(distances, [1, 11, 51, 201])
    return occupied("distance to its last occurrence", DISTANCES, index)


def in_sentence(items: Tokens) -> Bucketing:
    """The how-manieth token of its sentence, from 1 on."""
    sentences = units(items)
    starts = np.flatnonzero(np.diff(sentences, prepend=-1))
    positions = np.arange(len(sentences)) - starts[sentences] + 1
    index = np.digitize(positions, [2, 6, 11, 21, 41])
    return occupied("position in the sentence", POSITIONS, index)


def by_length(name: str, lengths: Indices | Sequence[int]) -> Bucketing:
    """At most four buckets of lengths (N) in tokens, as equal in size as whole lengths allow."""
    last = np.unique(np.quantile(lengths, QUANTILES, method="inverted_cdf"))
    first = [np.min(lengths), *(last[:-1] + 1)]
    labels = [f"{low}-{high}" if low < high else f"{high}" for low, high in zip(first, last)]
    return Bucketing(name, labels, np.searchsorted(last, lengths))


def occupied(name: str, labels: Sequence[str], index: Indices) -> Bucketing:
    """The bucketing without its empty buckets."""
    present, index = np.unique(index, return_inverse=True)
    return Bucketing(name, [labels[number] for number in present], index)


def applies(metric: Metric, bucketing: Bucketing) -> bool:
    """Whether the score of a bucket means something: not a mean over classes within one class."""
    return (metric.name, bucketing.name) != ("macro-f1", "class")


def bucket_scores(metric: Metric, bucketing: Bucketing, statistics: Floats) -> list[float | None]:
    """The score of every bucket (L), the mean over seeds of statistics (K, N, d).

    None where it is not finite, as a perplexity is with an impossible word in the bucket.
    """
    sums = np.stack([grouped(seed, bucketing.index) for seed in statistics])
    scores = metric.score(sums).mean(axis=0).tolist()
    return [score if math.isfinite(score) else None for score in scores]
