"""The tables of what the models scored: in whole, and bucket by bucket."""

from collections.abc import Callable, Iterable
from typing import Literal

from fairseq_lstmn.compare.report.numbers import (
    MISSING,
    interval,
    number,
    probability,
    signed,
    whole,
)
from fairseq_lstmn.compare.report.record import (
    BucketEntry,
    DifferenceEntry,
    MetricEntry,
    ModelEntry,
    Results,
    ScoreEntry,
)
from fairseq_lstmn.compare.report.run_tables import sizes
from fairseq_lstmn.compare.report.table import Cell, Table, table


def all_of(results: Results) -> list[Table]:
    """Two tables a metric, and what the models' sizes are."""
    by_metric = [made(results, metric) for metric in results["metrics"] for made in (scores, seeds)]
    return [*by_metric, sizes(results)]


def scores(results: Results, metric: MetricEntry) -> Table:
    """The main table: what one metric says of the models."""
    better = "higher" if metric["higher_is_better"] else "lower"
    points = " (points)" if metric["unit"] == "%" else ""
    columns = {
        "verdict": verdict(results, metric),
        f"mean{unit(metric)}": of_score(metric, lambda s: number(s["mean"])),
        f"difference{points}": of_difference(metric, lambda d, like: signed(d["value"], like)),
        "95% interval": of_difference(metric, whole_interval),
        "p": of_difference(metric, lambda d, _: probability(d["p_holm"])),
        "p over items": of_difference(metric, lambda d, _: probability(d["p_items_holm"])),
    }
    return table(f"{metric['name']} on the test items ({better} is better)", results, columns)


def seeds(results: Results, metric: MetricEntry) -> Table:
    """What the means of ``scores`` are made of."""
    columns = {
        "deviation over seeds": of_score(metric, lambda s: deviation(s, "deviation_seeds")),
        "deviation over items": of_score(metric, lambda s: deviation(s, "deviation_items")),
        "p over seeds": of_difference(metric, p_over_seeds),
        f"seed {_slashed(map(str, results['seeds']))}": of_score(
            metric, lambda s: every_seed(s, results["seeds"])
        ),
    }
    return table(f"{metric['name']} of every seed", results, columns)


def of_score(metric: MetricEntry, say: Callable[[ScoreEntry], str]) -> Cell:
    """What ``say`` makes of a model's score in ``metric``."""

    def cell(model: ModelEntry) -> str:
        score = model["scores"].get(metric["name"])
        return say(score) if score else MISSING

    return cell


def of_difference(metric: MetricEntry, say: Callable[[DifferenceEntry, float | None], str]) -> Cell:
    """What ``say`` makes of the difference from the baseline and of the mean, for its size."""

    def of(score: ScoreEntry) -> str:
        difference = score["difference"]
        return say(difference, score["mean"]) if difference else MISSING

    return of_score(metric, of)


def verdict(results: Results, metric: MetricEntry) -> Cell:
    against = of_difference(metric, lambda d, _: d["verdict"])
    return lambda model: "baseline" if model["name"] == results["baseline"] else against(model)


def whole_interval(difference: DifferenceEntry, like: float | None) -> str:
    """In one line."""
    return interval(difference["low"], difference["high"], like).replace(" ", "\u00a0")


def p_over_seeds(difference: DifferenceEntry, _: float | None) -> str:
    p, least = difference["p_seeds"], difference["p_seeds_least"]
    return MISSING if p is None else f"{probability(p)} (least\u00a0{probability(least)})"


def deviation(score: ScoreEntry, which: Literal["deviation_seeds", "deviation_items"]) -> str:
    return number(score[which], score["mean"])


def every_seed(score: ScoreEntry, seeds: list[int]) -> str:
    return _slashed(number(score["seeds"].get(str(seed)), score["mean"]) for seed in seeds)


def _slashed(parts: Iterable[str]) -> str:
    """``parts`` with slashes between them, behind which a line may end."""
    return "\u00a0/ ".join(parts)


def unit(metric: MetricEntry) -> str:
    return f" ({metric['unit']})" if metric["unit"] else ""


def buckets(results: Results, bucket: BucketEntry) -> Table:
    """A metric's mean over the seeds within each bucket, with the difference from the baseline."""

    def column(at: int) -> Cell:
        def cell(model: ModelEntry) -> str:
            value = at_bucket(bucket["values"], model, at)
            change = at_bucket(bucket["differences"], model, at)
            return number(value) + (f" ({signed(change, value)})" if change is not None else "")

        return cell

    named = zip(bucket["labels"], bucket["counts"])
    headings = [f"{label} (n\u00a0=\u00a0{whole(count)})" for label, count in named]
    columns = {heading: column(at) for at, heading in enumerate(headings)}
    title = f"{bucket['metric']} by {bucket['name']}"
    return table(title, results, columns).turned(bucket["name"])


def at_bucket(by_model: dict[str, list[float | None]], model: ModelEntry, at: int) -> float | None:
    """A model's number in a bucket; None where it has none."""
    values = by_model.get(model["name"])
    return values[at] if values else None
