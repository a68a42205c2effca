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

    Verdicts and buckets are those of ``fairseq-lstmn compare``, where a file is what a sentence
    is there.
    """
    baseline = next(iter(items))
    [one, *_] = items[baseline].values()
    numbers = kinds(one.words)
    cut = occupied("tokens since the identifier stood last", KINDS, numbers)
    chosen = {"all words": numbers >= 0, "identifiers seen before": numbers < len(SEEN)}
    chosen = {what: mask for what, mask in chosen.items() if mask.any()}
    found = {what: {name: {} for name in items} for what in chosen}
    buckets = []
    for measure in MEASURES:
        statistics = {
            name: np.stack([measure.statistics(own) for own in seeds.values()])
            for name, seeds in items.items()
        }
        buckets += bucket_entries(SimpleNamespace(baseline=baseline), measure, statistics, [cut])
        for what, mask in chosen.items():
            of_chosen = {
                name: np.stack([grouped(seed * mask[:, None], units(one)) for seed in own])
                for name, own in statistics.items()
            }
            for name, entry in entries(measure, of_chosen, items, baseline).items():
                found[what][name][measure.name] = entry
    return {
        "baseline": baseline,
        "metrics": [
            {"name": m.name, "higher_is_better": m.higher_is_better, "unit": m.unit}
            for m in MEASURES
        ],
        "scores": {
            what: [{"name": name, "scores": scores} for name, scores in models.items()]
            for what, models in found.items()
        },
        "buckets": buckets,
    }


def entries(measure, statistics, items, baseline):
    """{model: its score and the difference}, from statistics of files (K, files, d)."""
    resampled = resample(statistics, measure.score)
    differences = compare(resampled, baseline, measure.score, measure.higher_is_better)
    return {
        name: score_entry(system, items[name], differences.get(name))
        for name, system in resampled.items()
    }


def markdown(results):
    """A sentence for every model on all words and on those seen, and a table for every measure."""
    blocks = []
    for what, models in results["scores"].items():
        blocks += [f"On {what}:", bullets(verdicts({**results, "models": models}))]
    models = results["scores"]["all words"]
    for bucket in results["buckets"]:
        blocks.append(table(score_tables.buckets({"models": models}, bucket)))
    return "\n\n".join(blocks) + "\n"
