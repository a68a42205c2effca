"""What models' guesses are worth, on all words, on identifiers seen before, and by kind of word.

N words, K seeds, d statistics a word.
"""

from collections.abc import Mapping
from typing import TypedDict, cast

import numpy as np
from guesses import Guesses
from kinds import KINDS, SEEN, kinds

from fairseq_lstmn.compare.kinds.kind import Bucketing
from fairseq_lstmn.compare.report import tables
from fairseq_lstmn.compare.report.formats import bullets, markdown_table
from fairseq_lstmn.compare.report.schema import BucketEntry, MetricEntry, Results, ScoreEntry
from fairseq_lstmn.compare.report.scores import bucket_entries, score_entry
from fairseq_lstmn.compare.report.words import verdicts
from fairseq_lstmn.compare.stats.metrics import METRICS, Metric, grouped, share
from fairseq_lstmn.compare.stats.resampling import resample
from fairseq_lstmn.compare.stats.significance import compare
from fairseq_lstmn.compare.types import Flags, Floats

Items = Mapping[str, Mapping[str, Guesses]]  # {model: {seed: its guesses}}


class ModelScores(TypedDict):
    """A model's scores on some of the words, by measure."""

    name: str
    scores: dict[str, ScoreEntry]


class ByDistance(TypedDict):
    """What by_distance.json holds."""

    baseline: str
    metrics: list[MetricEntry]
    scores: dict[str, list[ModelScores]]  # on which words: of every model
    buckets: list[BucketEntry]


def right_words(items: Guesses) -> Floats:
    """Whether the likeliest word was the right one, and 1: (N, 2)."""
    return np.stack([items.right.astype(float), np.ones(len(items.right))], axis=1)


MEASURES = (
    METRICS["perplexity"],
    Metric("accuracy", True, "%", right_words, share),
)


def results_of(items: Items) -> ByDistance:
    """What JSON can hold of {model: {seed: Guesses}}, the baseline first.

    Verdicts and buckets are as in ``fairseq-lstmn compare``; a file is what a sentence is there.
    """
    baseline = next(iter(items))
    [one, *_] = items[baseline].values()
    numbers = kinds(one.words)
    seen = numbers < len(SEEN)
    cut = Bucketing.occupied("tokens since the identifier stood last", KINDS, numbers)
    buckets: list[BucketEntry] = []
    for measure in MEASURES:
        by_model = {name: of_words(measure, seeds) for name, seeds in items.items()}
        buckets += bucket_entries(baseline, measure, by_model, [cut])
    return {
        "baseline": baseline,
        "metrics": [
            {"name": m.name, "higher_is_better": m.higher_is_better, "unit": m.unit}
            for m in MEASURES
        ],
        "scores": {
            "all words": scores_on(np.ones_like(seen), items, baseline),
            "identifiers seen before": scores_on(seen, items, baseline) if seen.any() else [],
        },
        "buckets": buckets,
    }


def of_words(measure: Metric, seeds: Mapping[str, Guesses]) -> Floats:
    """A measure's statistics (K, N, d) of the Guesses of a model's seeds."""
    return np.stack([measure.statistics(own) for own in seeds.values()])


def scores_on(chosen: Flags, items: Items, baseline: str) -> list[ModelScores]:
    """The models with their scores on the chosen words (N,), and how they differ in them."""
    [one, *_] = items[baseline].values()
    files = one.units()
    scores: dict[str, dict[str, ScoreEntry]] = {name: {} for name in items}
    for measure in MEASURES:
        by_model = {
            name: np.stack(
                [grouped(seed * chosen[:, None], files) for seed in of_words(measure, seeds)]
            )
            for name, seeds in items.items()
        }
        resampled = resample(by_model, measure.score)
        differences = compare(resampled, baseline, measure.score, measure.higher_is_better)
        for name, system in resampled.items():
            scores[name][measure.name] = score_entry(system, items[name], differences.get(name))
    return [{"name": name, "scores": own} for name, own in scores.items()]


def as_comparison(results: ByDistance, models: list[ModelScores]) -> Results:
    """Results on some of the words in the form of a comparison's, for what reports read of them."""
    return cast(Results, {**results, "models": models})  # without runs, costs and the like


def markdown(results: ByDistance) -> str:
    """A sentence for every model on all words and on those seen, and a table for every measure."""
    blocks = []
    for what, models in results["scores"].items():
        if models:
            blocks += [f"On {what}:", bullets(verdicts(as_comparison(results, models)))]
    everywhere = as_comparison(results, results["scores"]["all words"])
    for bucket in results["buckets"]:
        blocks.append(markdown_table(tables.buckets(everywhere, bucket)))
    return "\n\n".join(blocks) + "\n"
