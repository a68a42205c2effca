"""Results of comparisons that never ran: they look like real ones and are the same every time."""

import math
import random
from statistics import fmean, stdev

METRICS = {  # whether higher is better, the unit, a usual score
    "perplexity": (False, "", 58.0),
    "bleu": (True, "", 26.5),
    "chrf": (True, "", 51.0),
    "exact-match": (True, "%", 41.0),
    "accuracy": (True, "%", 82.0),
    "macro-f1": (True, "%", 82.0),
}
KINDS = {
    "language": ["perplexity"],
    "translation": ["bleu", "chrf", "exact-match"],
    "reading": ["accuracy", "macro-f1"],
}
NAMES = [
    *("lstm", "lstmn", "lstmn deep", "rnn", "lstm wide", "lstmn, span 5"),
    *("transformer_lm_gpt2_small_with_a_long_name", "t-cnn"),
]
_BUCKETS = {
    "language": {
        "frequency in training": ["never", "1-10", "11-100", "101-1000", "more"],
        "distance to the last occurrence": ["never", "1-10", "11-50", "51-200", "more"],
        "position in the sentence": ["1", "2-5", "6-15", "16-30", "more"],
    },
    "translation": {"length": ["1-5", "6-10", "11-20", "21-40", "more"]},
    "reading": {
        "length": ["1-10", "11-20", "21-40", "more"],
        "class": ["entailment", "contradiction", "neutral"],
    },
}


def results(models=2, seeds=3, kind="language", tuned=False, names=NAMES):
    """A comparison of the first ``models`` of ``names``, the first of which is the baseline."""
    draw = random.Random(f"{models} {seeds} {kind}")
    numbers, chosen = list(range(1, seeds + 1)), names[:models]
    entries = []
    for at, name in enumerate(chosen):
        entries.append(model(draw, name, at, numbers, kind, entries[0] if at else None))
    valid = "accuracy" if kind == "reading" else "perplexity"
    return {
        "title": "LSTMN against LSTM on generated text",
        "errors": [],
        "warnings": [],
        "notes": ["One seed: nothing is known of other trainings."] if seeds == 1 else [],
        "data": "quickstart/data-bin",
        "baseline": chosen[0],
        "seeds": numbers,
        "metrics": [
            {"name": name, "higher_is_better": METRICS[name][0], "unit": METRICS[name][1]}
            for name in KINDS[kind]
        ],
        "curve": {"name": f"validation {valid}", "higher_is_better": kind == "reading"},
        "models": entries,
        "buckets": [
            bucket(draw, metric, name, labels, chosen)
            for metric in KINDS[kind]
            for name, labels in _BUCKETS[kind].items()
        ],
        "trials": [
            {"model": name, "options": {"dropout": rate}, "valid": 60 + rate, "chosen": rate == 0.1}
            for name in (chosen if tuned else ())
            for rate in (0.1, 0.3, 0.5)
        ],
        "commands": [
            {
                "run": f"{name}, seed {seed}",
                "stage": stage,
                "command": f"{tool} quickstart/data-bin --user-dir fairseq_lstmn --arch lstmn_lm "
                f"--decoder-hidden-size {300 + at} --save-dir 'compared/{name} {seed}' --cpu",
            }
            for at, name in enumerate(chosen)
            for seed in numbers
            for stage, tool in (("train", "fairseq-train"), ("score", "fairseq-eval-lm"))
        ],
        "versions": {"fairseq-lstmn": "0.1.0", "fairseq": "0.12.2", "torch": "2.6.0"},
        "machine": {"processor": "x86-64, 16 cores", "GPU": "none", "system": "Linux 6.1"},
    }


def model(draw, name, at, seeds, kind, baseline):
    shift = draw.gauss(0, 1.5) if at else 0.0
    others = 1_450_300 + 90_001 * at
    return {
        "name": name,
        "arch": "lstmn_lm" if "lstmn" in name else "lstm_lm",
        "options": {"arch": "lstm_lm", "decoder-hidden-size": 300 + 23 * at},
        "chosen": {"dropout": 0.3} if at else {},
        "parameters": {"all": 5_400_000 + others, "embeddings": 5_400_000, "others": others},
        "budget": {
            **{"updates": 2400.0, "tokens_per_update": 2038.4},
            **{"epochs": 6.0, "best_update": 2000.0 + 40 * at},
        },
        "cost": {
            **{"minutes": 4.2 + 1.3 * at, "words_per_second": 19_400 / (1 + 0.4 * at)},
            **{"items_per_second": 812.0 / (1 + at), "peak_memory": (1 + at) * 700_000_000},
            "cpu_seconds": 252.0 + 78 * at,
        },
        "scores": {metric: score(draw, metric, shift, seeds, baseline) for metric in KINDS[kind]},
        "runs": [run(draw, seed, shift, kind) for seed in seeds],
    }


def score(draw, metric, shift, seeds, baseline):
    values = {str(seed): METRICS[metric][2] + shift + draw.gauss(0, 0.4) for seed in seeds}
    mean = fmean(values.values())
    return {
        "mean": mean,
        "seeds": values,
        "deviation_seeds": stdev(values.values()) if len(seeds) > 1 else None,
        "deviation_items": 0.61,
        "difference": baseline
        and difference(metric, mean - baseline["scores"][metric]["mean"], len(seeds)),
    }


def difference(metric, value, seeds):
    """That of a model whose p are known: below 0.05 where the interval has no zero."""
    some, several = abs(value) > 1.76, seeds > 1
    good = (value > 0) == METRICS[metric][0]
    verdict = ("better" if good else "worse") if some and several else "inconclusive"
    p, p_items = (0.012, 0.004) if some else (0.25, 0.083)
    return {
        **{"value": value, "low": value - 1.76, "high": value + 1.76, "p": p, "p_holm": p},
        **{"p_items": p_items, "p_items_holm": p_items},
        **{"p_seeds": 0.3 if several else None, "p_seeds_least": 0.05 if several else None},
        "verdict": verdict,
        "reason": f"p = {p}" if several else "one seed says nothing about other trainings",
    }


def run(draw, seed, shift, kind):
    """A finished run whose validation gets better and then a little worse; ends are ragged."""
    updates = range(200, 200 * draw.randint(10, 13), 200)
    if kind == "reading":
        curve = [[u, 82 - 48 * math.exp(-u / 500) + shift + draw.gauss(0, 0.6)] for u in updates]
    else:
        curve = [
            [u, 58 + shift + 900 * math.exp(-u / 180) + u / 900 + draw.gauss(0, 0.8)]
            for u in updates
        ]
    pick = max if kind == "reading" else min
    best = pick(curve, key=lambda point: point[1])
    return {
        **{"seed": seed, "state": "finished", "error": None},
        **{"best_update": best[0], "best_valid": best[1], "curve": curve},
    }


def bucket(draw, metric, name, labels, models):
    factors = [9 / (1 + 2 * at) if metric == "perplexity" else 1.1 - 0.1 * at for at in range(9)]
    sizes = [METRICS[metric][2] * factor for factor in factors[: len(labels)]]
    values = {name: [size * (1 + draw.gauss(0, 0.02)) for size in sizes] for name in models}
    bases = values[models[0]]
    return {
        **{"metric": metric, "name": name, "labels": list(labels), "values": values},
        "counts": [1204 * (at + 1) ** 2 for at in range(len(labels))],
        "differences": {
            name: [value - base for value, base in zip(values[name], bases)] for name in models[1:]
        },
    }


def fail(model, seed, error):
    """Make one run of ``model`` a failed one, its score and what is known of it gone."""
    (broken,) = (run for run in model["runs"] if run["seed"] == seed)
    broken.update(state="failed", error=error, best_update=None, best_valid=None)
    broken["curve"] = broken["curve"][:3]
    for score in model["scores"].values():
        score["seeds"].pop(str(seed), None)
    if all(run["state"] != "finished" for run in model["runs"]):
        model.update(scores={}, budget=None, cost=None)
