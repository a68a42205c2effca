"""How the models of a comparison score: as a whole, against the baseline, and in buckets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import cast

import numpy as np

from fairseq_lstmn.compare.kinds.kind import Bucketing, Predictions
from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.report.schema import BucketEntry, DifferenceEntry, ScoreEntry
from fairseq_lstmn.compare.run.status import RunStatus
from fairseq_lstmn.compare.stats.metrics import Metric, grouped
from fairseq_lstmn.compare.stats.resampling import Resampled, resample
from fairseq_lstmn.compare.stats.significance import Difference, compare, deviations
from fairseq_lstmn.compare.types import Floats, Indices


def scored(
    experiment: Experiment, by_model: Mapping[str, Sequence[RunStatus]]
) -> tuple[dict[str, dict[str, ScoreEntry]], list[BucketEntry]]:
    """({model: {metric: scores}}, buckets) of the runs that have been scored."""
    plan = experiment.plan
    items = {
        name: {o.run.seed: o.predictions for o in outcomes if o.predictions is not None}
        for name, outcomes in by_model.items()
    }
    items = {name: seeds for name, seeds in items.items() if seeds}
    found: dict[str, dict[str, ScoreEntry]] = {name: {} for name in by_model}
    table: list[BucketEntry] = []
    if not items:
        return found, table
    [one, *_] = next(iter(items.values())).values()
    groups, cuts = one.units(), one.bucketings(plan.data, experiment.subsets["train"])
    for metric in experiment.metrics:
        statistics = {
            name: np.stack([metric.statistics(answers) for answers in seeds.values()])
            for name, seeds in items.items()
        }
        for name, entry in score_entries(plan, metric, statistics, groups, items).items():
            found[name][metric.name] = entry
        table += bucket_entries(plan.baseline, metric, statistics, cuts)
    return found, table


def score_entries(
    plan: Plan,
    metric: Metric,
    statistics: Mapping[str, Floats],
    groups: Indices,
    items: Mapping[str, Mapping[int, Predictions]],
) -> dict[str, ScoreEntry]:
    """{model: its scores by a metric}, from the statistics (K, N, d) of every model's items."""
    resampled = resample(
        {
            name: np.stack([grouped(seed, groups) for seed in seeds])
            for name, seeds in statistics.items()
        },
        metric.score,
    )
    differences: dict[str, Difference] = {}
    if plan.baseline in resampled:
        differences = compare(resampled, plan.baseline, metric.score, metric.higher_is_better)
    unfinished = {name for name, seeds in items.items() if len(seeds) < len(plan.seeds)}
    for name, difference in differences.items():
        if unfinished & {name, plan.baseline}:
            differences[name] = replace(
                difference,
                verdict="inconclusive",
                reason="not all seeds have finished, and those that failed may be the bad ones",
            )
    return {
        name: score_entry(system, items[name], differences.get(name))
        for name, system in resampled.items()
    }


def score_entry(
    system: Resampled, seeds: Iterable[int | str], difference: Difference | None
) -> ScoreEntry:
    """A model's scores by one metric, and its Difference (None for the baseline)."""
    over_seeds, over_items = deviations(system)
    entry = None if difference is None else cast(DifferenceEntry, asdict(difference))
    return {
        "mean": float(system.scores.mean()),
        "seeds": {str(seed): float(score) for seed, score in zip(seeds, system.scores)},
        "deviation_seeds": over_seeds,
        "deviation_items": over_items,
        "difference": entry,
    }


def bucket_entries(
    baseline: str,
    metric: Metric,
    statistics: Mapping[str, Floats],
    cuts: Iterable[Bucketing],
) -> list[BucketEntry]:
    """The scores of all models in the buckets of every way to cut the items."""
    entries: list[BucketEntry] = []
    for cut in cuts:
        if metric.name in cut.excludes:
            continue
        values = {name: cut.scores(metric, own) for name, own in statistics.items()}
        base = values.get(baseline)
        entries.append(
            {
                "metric": metric.name,
                "name": cut.name,
                "labels": list(map(str, cut.labels)),
                "counts": np.bincount(cut.index).tolist(),
                "values": values,
                "differences": {
                    name: [minus(one, other) for one, other in zip(own, base)]
                    for name, own in values.items()
                    if base is not None and name != baseline
                },
            }
        )
    return entries


def minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
