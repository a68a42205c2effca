"""What models' guesses are worth, on all words, on identifiers seen before, and by kind of word.

N words, K seeds, d statistics a word.
"""

from types import SimpleNamespace

import numpy as np
from guesses import Guesses
from kinds import KINDS, SEEN, kinds

from fairseq_lstmn.comparison.buckets import occupied
from fairseq_lstmn.comparison.metrics import METRICS, Metric, grouped, share, units
from fairseq_lstmn.comparison.report import score_tables
from fairseq_lstmn.comparison.report.markdown import bullets, table
from fairseq_lstmn.comparison.report.sentences import verdicts
from fairseq_lstmn.comparison.resampling import resample
from fairseq_lstmn.comparison.scores import bucket_entries, score_entry
from fairseq_lstmn.comparison.statistics import compare


def right_words(items):
    """Whether the likeliest word was the right one, and 1: (N, 2)."""
    return np.stack([items.right.astype(float), np.ones(len(items.right))], axis=1)


MEASURES = (
    METRICS["perplexity"],
    Metric("accuracy", True, "%", Guesses, right_words, share),
)


def results_of(items):
    """What JSON can hold of {model: {seed: Guesses}}, the baseline first.

    Verdicts and buckets are as in ``fairseq-lstmn compare``; a file is what a sentence is there.
    """
    baseline = next(iter(items))
    [one, *_] = items[baseline].values()
    numbers = kinds(one.words)
    seen = numbers < len(SEEN)
    cut = occupied("tokens since the identifier stood last", KINDS, numbers)
    buckets = []
    for measure in MEASURES:
        by_model = {name: of_words(measure, seeds) for name, seeds in items.items()}
        buckets += bucket_entries(SimpleNamespace(baseline=baseline), measure, by_model, [cut])
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


def of_words(measure, seeds):
    """A measure's statistics (K, N, d) of the Guesses of a model's seeds."""
    return np.stack([measure.statistics(own) for own in seeds.values()])


def scores_on(chosen, items, baseline):
    """The models with their scores on the chosen words (N,), and how they differ in them."""
    [one, *_] = items[baseline].values()
    files, found = units(one), {name: {} for name in items}
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
            found[name][measure.name] = score_entry(system, items[name], differences.get(name))
    return [{"name": name, "scores": scores} for name, scores in found.items()]


def markdown(results):
    """A sentence for every model on all words and on those seen, and a table for every measure."""
    blocks = []
    for what, models in results["scores"].items():
        if models:
            blocks += [f"On {what}:", bullets(verdicts({**results, "models": models}))]
    models = results["scores"]["all words"]
    for bucket in results["buckets"]:
        blocks.append(table(score_tables.buckets({"models": models}, bucket)))
    return "\n\n".join(blocks) + "\n"
