"""What came out of an experiment, as one dict that JSON can hold (see ``schema``).

What is measured in time or memory stands under ``cost`` and ``machine``; all else is the same
whenever the same comparison is made.
"""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch

from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.report.schema import (
    ModelEntry,
    Results,
    RunEntry,
    ScoreEntry,
    TrialEntry,
)
from fairseq_lstmn.compare.report.scores import scored
from fairseq_lstmn.compare.run.runs import Runs
from fairseq_lstmn.compare.run.status import (
    RunStatus,
    Trials,
    budget_errors,
    leave_out_other_tests,
    run_errors,
    unanswered,
)
from fairseq_lstmn.compare.types import Numbers, Options

CACHE = r"--cache-tune \S+: .* without a cache"  # fairseq-eval-lm's line


def collect(runs: Runs) -> Results:
    """The results of the runs that have finished so far."""
    experiment, tuned = runs.experiment, runs.tuned()
    plan = experiment.plan
    outcomes = [RunStatus(run, experiment) for run in runs.of_all_seeds(tuned)]
    trials = {
        model: [(trial, RunStatus(run, experiment)) for trial, run in tried]
        for model, tried in runs.trials().items()
    }
    leave_out_other_tests(outcomes)
    by_model = {name: [o for o in outcomes if o.run.model == name] for name in plan.models}
    scores, buckets = scored(experiment, by_model)
    unequal = budget_errors(plan, by_model)
    equal = [f"Equal {plan.budget} for every model, as the runs logged them."]
    return {
        "title": str(plan.title),
        "errors": [*unequal, *run_errors(plan, outcomes, trials)],
        "warnings": [*experiment.warnings, *unanswered(outcomes)],
        "notes": [*([] if unequal else equal), *notes(experiment), *tuned_caches(outcomes)],
        "data": plan.data,
        "baseline": plan.baseline,
        "seeds": plan.seeds,
        "metrics": [
            {
                "name": metric.name,
                "higher_is_better": metric.higher_is_better,
                "unit": metric.unit,
            }
            for metric in experiment.metrics
        ],
        "curve": {
            "name": f"validation {experiment.curve_metric}",
            "higher_is_better": experiment.maximize,
        },
        "models": [
            model_entry(experiment, name, by_model[name], scores[name], tuned[name])
            for name in plan.models
        ],
        "buckets": buckets,
        "trials": trial_entries(trials, tuned),
        "commands": [
            {"run": outcome.run.name, "stage": stage.name, "command": stage.line()}
            for outcome in outcomes
            for stage in (outcome.run.train, outcome.run.score)
        ],
        "versions": runs.versions,
        "machine": machine(),
    }


def model_entry(
    experiment: Experiment,
    name: str,
    outcomes: Sequence[RunStatus],
    scores: dict[str, ScoreEntry],
    tuned: Options | None,
) -> ModelEntry:
    """All about one model."""
    count = experiment.count(name, tuned)
    done = [outcome for outcome in outcomes if outcome.evaluation is not None]
    return {
        "name": name,
        "arch": experiment.options(name)["arch"],
        "options": experiment.plan.models[name],
        "chosen": {**experiment.chosen[name], **(tuned or {})},
        "parameters": {part: getattr(count, part) for part in ("all", "embeddings", "others")},
        "budget": means([o.budget for o in done]),
        "cost": means([outcome.cost for outcome in done]),
        "scores": scores,
        "runs": [run_entry(outcome) for outcome in outcomes],
    }


def means(rows: Sequence[Numbers]) -> Numbers:
    """The mean of every entry of dicts with the same keys; None where one has none."""
    names = rows[0] if rows else ()
    known = {name: [v for row in rows if (v := row[name]) is not None] for name in names}
    return {
        name: fmean(values) if len(values) == len(rows) else None for name, values in known.items()
    }


def run_entry(outcome: RunStatus) -> RunEntry:
    return {
        "seed": outcome.run.seed,
        "state": outcome.state,
        "error": outcome.error,
        "best_update": outcome.best_update,
        "best_valid": outcome.best_valid,
        "curve": outcome.curve,
    }


def trial_entries(trials: Trials, tuned: Mapping[str, Options | None]) -> list[TrialEntry]:
    return [
        {
            "model": model,
            "options": trial,
            "valid": outcome.best_valid,
            "chosen": tuned[model] == trial,
        }
        for model, tried in trials.items()
        for trial, outcome in tried
    ]


def notes(experiment: Experiment) -> list[str]:
    """What a reader has to know of the plan, a sentence each."""
    plan = experiment.plan
    sentences = [
        f"{model} has {name} {value}, which matches the parameters."
        for model, options in experiment.chosen.items()
        for name, value in options.items()
    ]
    if plan.tune:
        sentences.append(
            f"{len(plan.trials())} trials for every model with seed {plan.seeds[0]}, the best "
            f"chosen by validation {experiment.curve_metric}."
        )
    if len(plan.seeds) == 1:
        sentences.append("One seed: nothing is known of other trainings, so there is no verdict.")
    return sentences


def tuned_caches(outcomes: Sequence[RunStatus]) -> list[str]:
    """What each run says of its neural cache, tuned when it was scored."""
    said = [(outcome.run, re.search(CACHE, outcome.run.score.text())) for outcome in outcomes]
    return [f"{run.name}: {match[0]}." for run, match in said if match]


def machine() -> dict[str, str]:
    """The machine that made the report."""
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "gpus": ", ".join(gpus) or "none",
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
