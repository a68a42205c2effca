"""Every metric as a function of sums over predictions, so that all are resampled by one product.

N predictions, U units of resampling, C classes, d statistics each; "..." any leading dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from fairseq_lstmn.compare.types import Floats, Indices, Score

Predictions: TypeAlias = Any  # of a kind of task; a function says what it reads of them


@dataclass(frozen=True)
class Metric:
    """A score that depends on the predictions through the sums of their statistics alone.

    Attributes:
        name: as plans spell it.
        higher_is_better: the direction.
        unit: "%" for shares, "" for scales of their own.
        statistics: from N predictions to their statistics (N, d), float64.
        score: from sums of statistics (..., d) to scores (...).
    """

    name: str
    higher_is_better: bool
    unit: str
    statistics: Callable[[Predictions], Floats]
    score: Score


def grouped(statistics: Floats, groups: Indices) -> Floats:
    """Sums (U, d) of statistics (N, d) over rows with the same number in groups (N,)."""
    return np.stack([np.bincount(groups, column) for column in statistics.T], axis=1)


def token_losses(predictions: Predictions) -> Floats:
    """Minus ``log_probabilities`` (N), and 1: (N, 2)."""
    losses = -predictions.log_probabilities
    return np.stack([losses, np.ones(len(losses))], axis=1)


def perplexity(sums: Floats) -> Floats:
    """exp of the mean loss of a token; infinite where a token was held impossible."""
    with np.errstate(over="ignore"):
        return np.exp(sums[..., 0] / sums[..., 1])


def share(sums: Floats) -> Floats:
    """Of the items that are right, in percent."""
    return 100 * sums[..., 0] / sums[..., 1]


def exact_matches(predictions: Predictions) -> Floats:
    """Whether ``hypotheses`` (N) are ``references`` (N), and 1: (N, 2)."""
    pairs = zip(predictions.hypotheses, predictions.references)
    same = [hypothesis == reference for hypothesis, reference in pairs]
    return np.stack([np.array(same, dtype=float), np.ones(len(same))], axis=1)


def right_answers(predictions: Predictions) -> Floats:
    """``right`` (N), and 1: (N, 2)."""
    right = predictions.right.astype(float)
    return np.stack([right, np.ones(len(right))], axis=1)


def class_counts(predictions: Predictions) -> Floats:
    """One-hot over ``classes``: ``labels`` (N), the likeliest, and that where right: (N, 3 C)."""
    one_hot = np.eye(len(predictions.classes))
    labels, answers = one_hot[predictions.labels], one_hot[predictions.probabilities.argmax(axis=1)]
    return np.concatenate([labels, answers, labels * answers], axis=1)


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


def matches(predictions: Predictions, name: str) -> Floats:
    """What sacrebleu counts in every sentence, (N, 10) for BLEU and (N, 18) for chrF."""
    metric = scorer(name, tuple(predictions.references))
    return np.array(metric._extract_corpus_statistics(predictions.hypotheses, None), dtype=float)


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
        Metric("perplexity", False, "", token_losses, perplexity),
        Metric("exact-match", True, "%", exact_matches, share),
        Metric("accuracy", True, "%", right_answers, share),
        Metric("macro-f1", True, "%", class_counts, macro_f1),
        Metric("bleu", True, "", partial(matches, name="bleu"), bleu),
        Metric("chrf", True, "", partial(matches, name="chrf"), chrf),
    )
}
