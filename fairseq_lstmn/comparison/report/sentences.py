"""What a comparison found, said in a plain sentence for every model."""

from fairseq_lstmn.comparison.report.numbers import MISSING, interval, number, signed


def verdicts(results):
    """One sentence a model, in the plan's order."""
    return [sentence(model, results) for model in results["models"]]


def sentence(model, results):
    baseline = results["baseline"]
    if not model["scores"]:
        return f"{model['name']}: no verdict, no run was scored."
    if model["name"] == baseline:
        parts = [f"{m['name']} {mean(model, m)}" for m in results["metrics"]]
        return f"{baseline} is the baseline: {', '.join(parts)}."
    parts = [finding(model, metric, results) for metric in results["metrics"]]
    return f"{model['name']} against {baseline}: {'; '.join(parts)}."


def finding(model, metric, results):
    """Verdict, both means, their difference, its interval, and why the verdict is what it is."""
    score = model["scores"].get(metric["name"])
    difference = score and score["difference"]
    if not difference:
        return f"no verdict, {metric['name']} {mean(model, metric)}, nothing to compare it with"
    (baseline,) = (m for m in results["models"] if m["name"] == results["baseline"])
    like = score["mean"]
    change = signed(difference["value"], like) + (" points" if metric["unit"] == "%" else "")
    low_to_high = interval(difference["low"], difference["high"], like)
    reason = f"; {difference['reason']}" if difference["reason"] else ""
    return (
        f"{difference['verdict']}, {metric['name']} {mean(model, metric)} against "
        f"{mean(baseline, metric)} ({change}, 95% interval {low_to_high}{reason})"
    )


def mean(model, metric):
    score = model["scores"].get(metric["name"])
    if not score or score["mean"] is None:
        return MISSING
    return number(score["mean"]) + metric["unit"]
