"""How a report says things: numbers, and a plain sentence of what came out for every model.

What is missing is a dash, a minus is a minus sign.
"""

import re
from collections.abc import Mapping

from fairseq_lstmn.compare.report.schema import MetricEntry, ModelEntry, Results

MISSING = "–"
MINUS = "−"

_PLACES = ((1_000, 0), (100, 1), (1, 2), (0, 3))  # from this size on, so many decimals


def number(value: float | None, like: float | None = None) -> str:
    """``value`` with as many decimals as suit its size, or the size of ``like``."""
    if value is None:
        return MISSING
    size = abs(value if like is None else like)
    places = next(places for least, places in _PLACES if size >= least)
    text = f"{value:,.{places}f}"
    return text.replace("-", MINUS if re.search("[1-9]", text) else "")


def signed(value: float | None, like: float | None = None) -> str:
    """As ``number``, with a plus sign where it is positive."""
    text = number(value, like)
    positive = value is not None and value > 0 and re.search("[1-9]", text)
    return f"+{text}" if positive else text


def interval(low: float | None, high: float | None, like: float | None = None) -> str:
    """From ``low`` to ``high``; a dash where it is not known."""
    if low is None or high is None:
        return MISSING
    return f"{number(low, like)} to {number(high, like)}"


def whole(value: float | None) -> str:
    """An integer, or the nearest one."""
    return MISSING if value is None else f"{value:,.0f}".replace("-", MINUS)


def probability(value: float | None) -> str:
    if value is None:
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def memory(size: float | None) -> str:
    """Bytes, in the larger of MiB and GiB that is at least 1."""
    if size is None:
        return MISSING
    gibibytes = size / 2**30
    return f"{number(gibibytes)} GiB" if gibibytes >= 1 else f"{whole(size / 2**20)} MiB"


def options(chosen: Mapping[str, object]) -> str:
    """Options and their values in one line, as one would type them."""
    values = {name: f"{v:g}" if isinstance(v, float) else v for name, v in chosen.items()}
    return ", ".join(f"{name} {value}" for name, value in values.items()) or MISSING


def shortened(name: str, length: int) -> str:
    """``name`` in at most ``length`` characters, its middle left out if need be."""
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}…{name[-end:]}"


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
        verdict(model, metric, results, "" if shared else why)
        for metric, why in zip(results["metrics"], reasons)
    ]
    return f"{model['name']} against {baseline}: {'; '.join(parts)}{shared}."


def reason(model: ModelEntry, metric: MetricEntry) -> str | None:
    """Why the verdict is what it is, if anything is to be said."""
    score = model["scores"].get(metric["name"])
    return score["difference"]["reason"] if score and score["difference"] else None


def verdict(model: ModelEntry, metric: MetricEntry, results: Results, why: str | None) -> str:
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
