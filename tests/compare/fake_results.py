"""Results of comparisons that never ran: they look like real ones and are the same every time."""

import math
import random

METRICS = {
    "perplexity": {"name": "perplexity", "higher_is_better": False, "unit": ""},
    "bleu": {"name": "bleu", "higher_is_better": True, "unit": ""},
    "chrf": {"name": "chrf", "higher_is_better": True, "unit": ""},
    "exact-match": {"name": "exact-match", "higher_is_better": True, "unit": "%"},
    "accuracy": {"name": "accuracy", "higher_is_better": True, "unit": "%"},
    "macro-f1": {"name": "macro-f1", "higher_is_better": True, "unit": "%"},
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
_BEST = {"perplexity": 58.0, "bleu": 26.5, "chrf": 51.0, "exact-match": 41.0}
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
    metrics = [METRICS[name] for name in KINDS[kind]]
    numbers = list(range(1, seeds + 1))
    chosen = names[:models]
    made = {
        "title": "LSTMN against LSTM on generated text",
        "errors": [],
        "warnings": [],
        "notes": ["One seed: nothing is known of other trainings."] if seeds == 1 else [],
        "data": "quickstart/data-bin",
        "baseline": chosen[0],
        "seeds": numbers,
        "metrics": metrics,
        "curve": curve_of(kind),
        "models": [model(draw, name, at, metrics, numbers, kind) for at, name in enumerate(chosen)],
        "buckets": [
            bucket(draw, metric["name"], name, labels, chosen)
            for metric in metrics
            for name, labels in _BUCKETS[kind].items()
        ],
        "trials": list(trials(draw, chosen)) if tuned else [],
        "commands": [
            {"run": f"{name}, seed {seed}", "stage": stage, "command": command(stage, at, seed)}
            for at, name in enumerate(chosen)
            for seed in numbers
            for stage in ("train", "score")
        ],
        "versions": {"fairseq-lstmn": "0.1.0", "fairseq": "0.12.2", "torch": "2.6.0"},
        "machine": {"processor": "x86-64, 16 cores", "GPU": "none", "system": "Linux 6.1"},
    }
    against_baseline(made)
    return made


def curve_of(kind):
    if kind == "reading":
        return {"name": "validation accuracy", "higher_is_better": True}
    return {"name": "validation perplexity", "higher_is_better": False}


def model(draw, name, at, metrics, seeds, kind):
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
        "scores": {metric["name"]: score(draw, metric, shift, seeds) for metric in metrics},
        "runs": [run(draw, seed, shift, kind) for seed in seeds],
    }


def score(draw, metric, shift, seeds):
    best = _BEST.get(metric["name"], 82.0)
    values = {str(seed): best + shift + draw.gauss(0, 0.4) for seed in seeds}
    mean = sum(values.values()) / len(seeds)
    squares = sum((value - mean) ** 2 for value in values.values())
    return {
        "mean": mean,
        "seeds": values,
        "deviation_seeds": math.sqrt(squares / (len(seeds) - 1)) if len(seeds) > 1 else None,
        "deviation_items": 0.61,
        "difference": None,
    }


def against_baseline(made):
    """Put in every model's difference from the first."""
    baseline, *others = made["models"]
    for metric in made["metrics"]:
        least = baseline["scores"][metric["name"]]["mean"]
        for other in others:
            found = other["scores"][metric["name"]]
            found["difference"] = difference(metric, found["mean"] - least, len(made["seeds"]))


def difference(metric, value, seeds):
    p = math.erfc(abs(value) / 0.9 / math.sqrt(2))
    good = (value > 0) == metric["higher_is_better"]
    verdict = "inconclusive" if p >= 0.05 or seeds == 1 else "better" if good else "worse"
    least = 1 / math.comb(2 * seeds, seeds)
    one_seed, chance = "one seed says nothing about other trainings", f"p = {p:.2g}"
    return {
        **{"value": value, "low": value - 1.76, "high": value + 1.76, "p": p, "p_holm": p},
        **{"p_items": p / 3, "p_items_holm": p / 3},
        "p_seeds": None if seeds == 1 else max(least, p / 2),
        "p_seeds_least": None if seeds == 1 else least,
        "verdict": verdict,
        "reason": one_seed if seeds == 1 else chance,
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
    size = _BEST.get(metric, 82.0)
    factors = [9 / (1 + 2 * at) if metric == "perplexity" else 1.1 - 0.1 * at for at in range(9)]
    values = {
        model: [size * factor * (1 + draw.gauss(0, 0.02)) for factor in factors[: len(labels)]]
        for model in models
    }
    differences = {
        model: [value - base for value, base in zip(values[model], values[models[0]])]
        for model in models[1:]
    }
    counts = [1204 * (at + 1) ** 2 for at in range(len(labels))]
    return {
        **{"metric": metric, "name": name, "labels": list(labels), "counts": counts},
        **{"values": values, "differences": differences},
    }


def trials(draw, models):
    for model_name in models:
        valid = {dropout: 60 + draw.gauss(0, 1) for dropout in (0.1, 0.3, 0.5)}
        for dropout, value in valid.items():
            chosen = value == min(valid.values())
            options = {"dropout": dropout}
            yield {"model": model_name, "options": options, "valid": value, "chosen": chosen}


def command(stage, at, seed):
    tool = {"train": "fairseq-train", "score": "fairseq-eval-lm"}[stage]
    return (
        f"{tool} quickstart/data-bin --user-dir fairseq_lstmn --task language_modeling "
        f"--arch lstmn_lm --decoder-hidden-size {300 + at} --seed {seed} --optimizer adam "
        f"--lr 0.004 --max-epoch 6 --cpu --save-dir 'compared/lstmn {at} {seed}'"
    )


def fail(model, seed, error):
    """Make one run of ``model`` a failed one, its score and what is known of it gone."""
    (broken,) = (run for run in model["runs"] if run["seed"] == seed)
    broken.update(state="failed", error=error, best_update=None, best_valid=None)
    broken["curve"] = broken["curve"][:3]
    for found in model["scores"].values():
        found["seeds"].pop(str(seed), None)
    if all(run["state"] != "finished" for run in model["runs"]):
        model.update(scores={}, budget=None, cost=None)
