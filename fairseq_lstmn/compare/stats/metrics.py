"""Every metric as a function of sums over items, so that all are resampled by one product.

N items, U units of resampling, C classes, d statistics an item; "..." are any leading dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from fairseq_lstmn.compare.kinds.items import Answers, Items, Recalled, Tokens, Translations
from fairseq_lstmn.compare.types import Floats, Indices, Score

END = "</s>"
BLOCK = 35  # tokens, where a text has no sentences: fairseq's PTB recipes train on as many


@dataclass(frozen=True)
class Metric:
    """A score that depends on the items through the sums of their statistics alone.

    Attributes:
        name: as plans spell it.
        higher_is_better: the direction.
        unit: "%" for shares, "" for scales of their own.
        items: the classes of ``items`` that it scores.
        statistics: from N items to their statistics (N, d), float64.
        score: from sums of statistics (..., d) to scores (...).
    """

    name: str
    higher_is_better: bool
    unit: str
    items: tuple[type, ...]
    statistics: Callable[[Any], Floats]  # of one of those classes
    score: Score


def units(items: Items) -> Indices:
    """The unit of resampling of every item (N,): what depends on each other stays together.

    Of tokens it is the sentence, a run up to and with its end, and where a text has no ends
    blocks of ``BLOCK`` tokens; of what is recalled the example; everything else is a unit of its
    own.
    """
    if isinstance(items, Translations):
        return np.arange(len(items.references))
    if isinstance(items, Answers):
        return np.arange(len(items.labels))
    if isinstance(items, Recalled):
        return np.unique(items.examples, return_inverse=True)[1]
    ends = np.array([word == END for word in items.words])
    if not ends.any():
        return np.arange(len(ends)) // BLOCK
    sentences: Indices = np.cumsum(ends) - ends
    return sentences


def grouped(statistics: Floats, groups: Indices) -> Floats:
    """Sums (U, d) of statistics (N, d) over items with the same number in groups (N,)."""
    return np.stack([np.bincount(groups, column) for column in statistics.T], axis=1)


def token_losses(items: Tokens | Recalled) -> Floats:
    """Minus the natural logarithm of the probability, and 1: (N, 2)."""
    losses = -items.log_probabilities
    return np.stack([losses, np.ones(len(losses))], axis=1)


def perplexity(sums: Floats) -> Floats:
    """exp of the mean loss of a token; infinite where a token was held impossible."""
    with np.errstate(over="ignore"):
        return np.exp(sums[..., 0] / sums[..., 1])


def share(sums: Floats) -> Floats:
    """Of the items that are right, in percent."""
    return 100 * sums[..., 0] / sums[..., 1]


def exact_matches(items: Translations) -> Floats:
    """Whether the output is the reference, and 1: (N, 2)."""
    same = [output == wanted for output, wanted in zip(items.hypotheses, items.references)]
    return np.stack([np.array(same, dtype=float), np.ones(len(same))], axis=1)


def right_answers(items: Answers | Recalled) -> Floats:
    """Whether the likeliest answer is the right one, and 1: (N, 2)."""
    right = items.right.astype(float)
    return np.stack([right, np.ones(len(right))], axis=1)


def class_counts(items: Answers) -> Floats:
    """One-hot over classes: the right one, the answer, and the answer if it is right: (N, 3 C)."""
    one_hot = np.eye(len(items.classes))
    wanted, given = one_hot[items.labels], one_hot[items.probabilities.argmax(axis=1)]
    return np.concatenate([wanted, given, wanted * given], axis=1)


def macro_f1(sums: Floats) -> Floats:
    """The mean over classes of F1 in percent; a class that never occurs counts as 0."""
    labels, answers, right = np.split(sums, 3, axis=-1)
    f1 = np.divide(2 * right, labels + answers, where=right > 0, out=np.zeros_like(right))
    means: Floats = 100 * f1.mean(axis=-1)
    return means


@lru_cache(maxsize=2)
def scorer(name: str, references: tuple[str, ...]) -> BLEU | CHRF:
    """sacrebleu's metric with the n-grams of the references, a tuple, which all models share."""
    return SACREBLEU[name](references=[references])


def matches(items: Translations, name: str) -> Floats:
    """What sacrebleu counts in every sentence, (N, 10) for BLEU and (N, 18) for chrF."""
    metric = scorer(name, tuple(items.references))
    return np.array(metric._extract_corpus_statistics(items.hypotheses, None), dtype=float)


def bleu(sums: Floats) -> Floats:
    """sacrebleu's BLEU of corpora with such counts (..., 10), which itself takes one at a time.

    The counts are of words in output and reference, then of n-grams that match and of the output's.
    """
    output, reference, matching, total = np.split(sums, [1, 2, 6], axis=-1)
    none = matching == 0
    smoothed = np.where(none, 0.5 ** np.cumsum(none, axis=-1), matching)  # NIST's: 1/2, 1/4, ...
    defined = ~none.all(axis=-1) & (total > 0).all(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        brevity = np.exp(np.minimum(0, 1 - reference / output))[..., 0]
        precision = np.exp(np.log(smoothed / total).mean(axis=-1))
    return np.where(defined, 100 * brevity * precision, 0.0)


def chrf(sums: Floats) -> Floats:
    """sacrebleu's chrF of corpora with such counts (..., 18), which itself takes one at a time.

    The counts are of n-grams in output, reference and both, for n from 1 to 6; an n for which the
    output or the reference is too short does not count. F weighs recall with beta = 2.
    """
    output, reference, matching = np.moveaxis(sums.reshape(*sums.shape[:-1], 6, 3), -1, 0)
    long = (output > 0) & (reference > 0)
    precision, recall = (
        np.divide(matching, counted, where=long, out=np.zeros_like(matching)).sum(axis=-1)
        for counted in (output, reference)
    )
    weighted = np.maximum(long.sum(axis=-1), 1) * (4 * precision + recall)  # sums over n, not means
    product = 100 * 5 * precision * recall
    f2: Floats = np.divide(product, weighted, where=weighted > 0, out=np.zeros_like(product))
    return f2


# sacrebleu's significance tests use the same two methods; "force" spares a warning, no score
SACREBLEU: dict[str, Callable[..., BLEU | CHRF]] = {"bleu": partial(BLEU, force=True), "chrf": CHRF}

METRICS = {
    metric.name: metric
    for metric in (
        Metric("perplexity", False, "", (Tokens, Recalled), token_losses, perplexity),
        Metric("exact-match", True, "%", (Translations,), exact_matches, share),
        Metric("accuracy", True, "%", (Answers, Recalled), right_answers, share),
        Metric("macro-f1", True, "%", (Answers,), class_counts, macro_f1),
        Metric("bleu", True, "", (Translations,), partial(matches, name="bleu"), bleu),
        Metric("chrf", True, "", (Translations,), partial(matches, name="chrf"), chrf),
    )
}
