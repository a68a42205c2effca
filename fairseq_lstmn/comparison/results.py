"""Everything that a comparison has found, as one dict that JSON can hold (see ``report``).

What is measured in time or memory stands under ``cost`` and ``machine``; all else is the same
whenever the same comparison is made.
"""

import dataclasses
import os
import platform
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from fairseq_lstmn.comparison import logs, words
from fairseq_lstmn.comparison.buckets import applies, bucket_scores, bucketings
from fairseq_lstmn.comparison.items import Tokens
from fairseq_lstmn.comparison.metrics import METRICS, grouped, units
from fairseq_lstmn.comparison.resampling import resample
from fairseq_lstmn.comparison.statistics import compare, deviations

SAME_MINUTES = 0.05  # trainings of the same minutes differ by less, as a share


def collect(comparison):
    """The results of what a Comparison has finished so far."""
    plan, tuned = comparison.plan, comparison.tuned()
    outcomes = [Outcome(run, comparison) for run in comparison.runs(tuned)]
    by_model = {name: [o for o in outcomes if o.run.model == name] for name in plan.models}
    scores, table = scored(comparison, by_model)
    errors = [*budget_errors(plan, by_model), *run_errors(plan, outcomes, tuned)]
    return {
        "title": str(plan.title),
        "errors": errors,
        "notes": notes(comparison, tuned),
        "data": plan.data,
        "baseline": plan.baseline,
        "seeds": plan.seeds,
        "metrics": [
            {
                "name": name,
                "higher_is_better": METRICS[name].higher_is_better,
                "unit": METRICS[name].unit,
            }
            for name in plan.metrics
        ],
        "curve": {
            "name": f"validation {curve_metric(comparison)}",
            "higher_is_better": comparison.maximize,
        },
        "models": [
            model_entry(comparison, name, by_model[name], scores[name], tuned[name])
            for name in plan.models
        ],
        "buckets": table,
        "trials": trial_entries(comparison, tuned),
        "commands": [
            {"run": outcome.run.name, "stage": stage.name, "command": stage.line()}
            for outcome in outcomes
            for stage in (outcome.run.train, outcome.run.score)
        ],
        "versions": comparison.versions,
        "machine": machine(),
    }


class Outcome:
    """What a run has come to.

    Attributes:
        training: Training, as far as it has got.
        best: (update, value) of the best validation, or None.
        items, items_per_second: of the test set; None if it has not come to its end.
    """

    def __init__(self, run, comparison):
        self.run = run
        self.training = logs.training(logs.text(run.train.log))
        self.best = self.training.best(comparison.metric, comparison.maximize)
        self.items, self.items_per_second = (run.trained() and run.scored()) or (None, None)
        self.error = run.error()

    @property
    def state(self):
        if self.items is not None:
            return "finished"
        return "failed" if self.error else "missing"

    @property
    def budget(self):
        """What the training was given."""
        epochs = self.training.epochs
        last = epochs[max(epochs)] if epochs else {}
        return {
            "updates": self.training.updates,
            "tokens_per_update": self.training.words_per_update,
            "epochs": max(epochs, default=None),
            "best_update": self.best[0] if self.best else None,
            "minutes": last.get("train_wall", 0) / 60,
        }


def scored(comparison, by_model):
    """({model: {metric: scores}}, buckets) of the runs that have been scored."""
    plan = comparison.plan
    items = {
        name: {o.run.seed: o.items for o in outcomes if o.items is not None}
        for name, outcomes in by_model.items()
    }
    items = {name: seeds for name, seeds in items.items() if seeds}
    found, table = {name: {} for name in by_model}, []
    if not items:
        return found, table
    [one, *_] = next(iter(items.values())).values()
    groups, cuts = units(one), bucketings(one, word_counts(comparison, one))
    for metric in map(METRICS.get, plan.metrics):
        statistics = {
            name: np.stack([metric.statistics(answers) for answers in seeds.values()])
            for name, seeds in items.items()
        }
        for name, entry in score_entries(plan, metric, statistics, groups, items).items():
            found[name][metric.name] = entry
        table += bucket_entries(plan, metric, statistics, cuts)
    return found, table


def word_counts(comparison, items):
    """How often words occur in training, where the items are words."""
    if not isinstance(items, Tokens):
        return None
    return words.counts(comparison.plan.data, comparison.subsets["train"])


def score_entries(plan, metric, statistics, groups, items):
    """{model: its scores by a metric}, from the statistics (K, N, d) of every model's items."""
    resampled = resample(
        {
            name: np.stack([grouped(seed, groups) for seed in seeds])
            for name, seeds in statistics.items()
        },
        metric.score,
    )
    differences = {}
    if plan.baseline in resampled:
        differences = compare(resampled, plan.baseline, metric.score, metric.higher_is_better)
    return {
        name: score_entry(system, items[name], differences.get(name))
        for name, system in resampled.items()
    }


def bucket_entries(plan, metric, statistics, cuts):
    """The scores of all models in the buckets of every way to cut the items."""
    entries = []
    for cut in cuts:
        if not applies(metric, cut):
            continue
        values = {name: bucket_scores(metric, cut, own) for name, own in statistics.items()}
        base = values.get(plan.baseline)
        entries.append(
            {
                "metric": metric.name,
                "name": cut.name,
                "labels": list(map(str, cut.labels)),
                "counts": np.bincount(cut.index).tolist(),
                "values": values,
                "differences": {
                    name: [None if None in pair else pair[0] - pair[1] for pair in zip(own, base)]
                    for name, own in values.items()
                    if base is not None and name != plan.baseline
                },
            }
        )
    return entries


def score_entry(system, seeds, difference):
    """A model's scores by one metric, and its Difference (None for the baseline)."""
    over_seeds, over_items = deviations(system)
    return {
        "mean": float(system.scores.mean()),
        "seeds": {str(seed): float(score) for seed, score in zip(seeds, system.scores)},
        "deviation_seeds": over_seeds,
        "deviation_items": over_items,
        "difference": difference and dataclasses.asdict(difference),
    }


def model_entry(comparison, name, outcomes, scores, tuned):
    """All about one model."""
    plan = comparison.plan
    done = [outcome for outcome in outcomes if outcome.items is not None]
    return {
        "name": name,
        "arch": comparison.options(name)["arch"],
        "options": plan.models[name],
        "chosen": {**comparison.chosen[name], **(tuned or {})},
        "parameters": {
            "all": comparison.parameters[name].all,
            "embeddings": comparison.parameters[name].embeddings,
            "others": comparison.parameters[name].others,
        },
        "budget": means(
            [{k: v for k, v in o.budget.items() if k != "minutes"} for o in done]
        ),
        "cost": means([cost(outcome) for outcome in done]),
        "scores": scores,
        "runs": [run_entry(comparison, outcome) for outcome in outcomes],
    }


def cost(outcome):
    """What a run took. None for what is unknown, as where it was started by other means."""
    stages = [outcome.run.train.usage(), outcome.run.score.usage()]
    known = all(stages)
    memory = outcome.training.gpu_memory or max(u.get("peak_memory", 0) for u in stages)
    return {
        "minutes": outcome.budget["minutes"],
        "words_per_second": outcome.training.speed,
        "items_per_second": outcome.items_per_second,
        "peak_memory": memory or None,
        "cpu_seconds": sum(usage["cpu_seconds"] for usage in stages) if known else None,
    }


def means(rows):
    """The mean of every entry of equal dicts; None where one has none, or there are no rows."""
    names = rows[0] if rows else ()
    columns = {name: [row[name] for row in rows] for name in names}
    return {
        name: None if None in column else fmean(column) for name, column in columns.items()
    }


def run_entry(comparison, outcome):
    metric, curve = curve_metric(comparison), outcome.training.curve
    update, value = outcome.best or (None, None)
    return {
        "seed": outcome.run.seed,
        "state": outcome.state,
        "error": outcome.error,
        "best_update": update,
        "best_valid": value,
        "curve": [[u, curve[u][metric]] for u in sorted(curve) if metric in curve[u]],
    }


def curve_metric(comparison):
    """What learning curves show: the validation metric, of a loss in words the perplexity."""
    by_words = comparison.metric == "loss" and "perplexity" in comparison.plan.metrics
    return "ppl" if by_words else comparison.metric


def trial_entries(comparison, tuned):
    return [
        {
            "model": model,
            "options": trial,
            "valid": comparison.validation(run) if run.trained() else None,
            "chosen": tuned[model] == trial,
        }
        for model, trials in comparison.trials().items()
        for trial, run in trials
    ]


def budget_errors(plan, by_model):
    """A sentence for each way in which trainings were not given the same."""
    names = {
        "updates": ("updates", "tokens_per_update"),
        "epochs": ("epochs",),
        "minutes": ("minutes",),
    }[plan.budget]
    found = []
    for name in names:
        values = {
            (o.run.model, o.run.seed): o.budget[name]
            for outcomes in by_model.values()
            for o in outcomes
            if o.items is not None
        }
        for seed in plan.seeds:
            of_seed = {model: value for (model, s), value in values.items() if s == seed}
            if of_seed and not equal(of_seed.values(), name):
                listed = ", ".join(f"{model} {value:,.6g}" for model, value in of_seed.items())
                found.append(
                    f"unequal budgets: {name.replace('_', ' ')} with seed {seed}: {listed}"
                )
                break
    return found


def equal(values, name):
    low, high = min(values), max(values)
    return high - low <= (SAME_MINUTES * high if name == "minutes" else 0)


def run_errors(plan, outcomes, tuned):
    """A sentence for each run that failed, and one for those that are missing."""
    failed = [f"{o.run.name} failed: {o.error}" for o in outcomes if o.state == "failed"]
    wanted = len(plan.models) * len(plan.seeds)
    done = sum(o.state == "finished" for o in outcomes)
    missing = wanted - done - len(failed)
    return failed + ([f"{missing} of {wanted} runs are not finished"] if missing else [])


def notes(comparison, tuned):
    """What a reader has to know, a sentence each."""
    plan = comparison.plan
    found = [f"Equal {plan.budget} for every model, as the runs logged them."]
    for model, options in comparison.chosen.items():
        for name, value in options.items():
            found.append(f"{model} has {name} {value}, which matches the parameters.")
    if plan.tune:
        tried = len(plan.trials())
        found.append(
            f"{tried} trials for every model with seed {plan.seeds[0]}, the best chosen by "
            f"validation {comparison.metric}."
        )
    if len(plan.seeds) == 1:
        found.append("One seed: nothing is known of other trainings, so there is no verdict.")
    return found


def machine():
    """The machine that made the report."""
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "gpus": ", ".join(gpus) or "none",
    }


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
