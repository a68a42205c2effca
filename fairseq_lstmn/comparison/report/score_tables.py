"""The tables of what the models scored: in whole, and bucket by bucket."""

from fairseq_lstmn.comparison.report.numbers import (
    MISSING,
    interval,
    number,
    probability,
    signed,
    whole,
)
from fairseq_lstmn.comparison.report.table import of_part, table


def scores(results, metric):
    """The main table: everything about one metric."""
    better = "higher" if metric["higher_is_better"] else "lower"
    points = " (points)" if metric["unit"] == "%" else ""
    seeds = " / ".join(map(str, results["seeds"]))
    columns = {
        "verdict": verdict(results, metric),
        f"mean{unit(metric)}": of_score(metric, lambda s: number(s["mean"])),
        f"difference{points}": of_difference(metric, lambda d, like: signed(d["value"], like)),
        "95% interval": of_difference(metric, lambda d, like: interval(d["low"], d["high"], like)),
        "p": of_difference(metric, lambda d, _: probability(d["p_holm"])),
        "p over items": of_difference(metric, lambda d, _: probability(d["p_items_holm"])),
        "p over seeds": of_difference(metric, p_over_seeds),
        "deviation over seeds": of_score(metric, lambda s: deviation(s, "deviation_seeds")),
        "deviation over items": of_score(metric, lambda s: deviation(s, "deviation_items")),
        f"seed {seeds}": of_score(metric, lambda s: every_seed(s, results["seeds"])),
        "parameters": of_part("parameters", "all", whole),
        "without embeddings": of_part("parameters", "others", whole),
    }
    return table(f"{metric['name']} on the test items ({better} is better)", results, columns)


def of_score(metric, say):
    """What ``say`` makes of a model's score in ``metric``."""

    def cell(model):
        score = model["scores"].get(metric["name"])
        return say(score) if score else MISSING

    return cell


def of_difference(metric, say):
    """What ``say`` makes of the difference from the baseline and of the mean, for its size."""

    def of(score):
        difference = score["difference"]
        return say(difference, score["mean"]) if difference else MISSING

    return of_score(metric, of)


def verdict(results, metric):
    against = of_difference(metric, lambda d, _: d["verdict"])
    return lambda model: "baseline" if model["name"] == results["baseline"] else against(model)


def p_over_seeds(difference, _):
    p, least = difference["p_seeds"], difference["p_seeds_least"]
    return MISSING if p is None else f"{probability(p)} (least {probability(least)})"


def deviation(score, which):
    return number(score[which], score["mean"])


def every_seed(score, seeds):
    return " / ".join(number(score["seeds"].get(str(seed)), score["mean"]) for seed in seeds)


def unit(metric):
    return f" ({metric['unit']})" if metric["unit"] else ""


def buckets(results, bucket):
    """A metric's mean over the seeds within each bucket, with the difference from the baseline."""

    def column(at):
        def cell(model):
            value = at_bucket(bucket["values"], model, at)
            change = at_bucket(bucket["differences"], model, at)
            return number(value) + (f" ({signed(change, value)})" if change is not None else "")

        return cell

    named = zip(bucket["labels"], bucket["counts"])
    headings = [f"{label} (n\u00a0=\u00a0{whole(count)})" for label, count in named]
    columns = {heading: column(at) for at, heading in enumerate(headings)}
    return table(f"{bucket['metric']} by {bucket['name']}", results, columns)


def at_bucket(by_model, model, at):
    """A model's number in a bucket; None where it has none."""
    values = by_model.get(model["name"])
    return values[at] if values else None
