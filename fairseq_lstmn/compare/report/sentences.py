"""What a comparison found, said in a plain sentence for every model."""

from fairseq_lstmn.compare.report.numbers import MISSING, interval, number, signed
from fairseq_lstmn.compare.report.record import MetricEntry, ModelEntry, Results


def verdicts(results: Results) -> list[str]:
    """One sentence a model, in the plan's order."""
    return [sentence(model, results) for model in results["models"]]


def sentence(model: ModelEntry, results: Results) -> str:
    baseline = results["baseline"]
    if not model["scores"]:
        return f"{model['name']}: no verdict, no run was scored."
    if model["name"] == baseline:
        parts = [f"{m['name']} {mean(model, m)}" for m in results["metrics"]]
        return f"{baseline} is the baseline: {', '.join(parts)}."
    reasons = [reason(model, metric) for metric in results["metrics"]]
    shared = f"; {reasons[0]}" if reasons[0] and len(set(reasons)) == 1 else ""
    parts = [
        finding(model, metric, results, "" if shared else why)
        for metric, why in zip(results["metrics"], reasons)
    ]
    return f"{model['name']} against {baseline}: {'; '.join(parts)}{shared}."


def reason(model: ModelEntry, metric: MetricEntry) -> str | None:
    """Why the verdict is what it is, if anything is to be said."""
    score = model["scores"].get(metric["name"])
    return score["difference"]["reason"] if score and score["difference"] else None


def finding(model: ModelEntry, metric: MetricEntry, results: Results, why: str | None) -> str:
    """Verdict, both means, their difference, its interval and ``why``."""
    score = model["scores"].get(metric["name"])
    if not score or not (difference := score["difference"]):
        return f"no verdict, {metric['name']} {mean(model, metric)}, nothing to compare it with"
    (baseline,) = (m for m in results["models"] if m["name"] == results["baseline"])
    like = score["mean"]
    change = signed(difference["value"], like) + (" points" if metric["unit"] == "%" else "")
    low_to_high = interval(difference["low"], difference["high"], like)
    because = f"; {why}" if why else ""
    return (
        f"{difference['verdict']}, {metric['name']} {mean(model, metric)} against "
        f"{mean(baseline, metric)} ({change}, 95% interval {low_to_high}{because})"
    )


def mean(model: ModelEntry, metric: MetricEntry) -> str:
    score = model["scores"].get(metric["name"])
    if not score or score["mean"] is None:
        return MISSING
    return number(score["mean"]) + metric["unit"]
