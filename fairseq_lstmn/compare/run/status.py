"""How far the runs of an experiment are, and in what they are not comparable."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from fairseq_lstmn.compare.kinds.kind import Predictions
from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.plan.plan import BUDGETS, Plan
from fairseq_lstmn.compare.run.runs import Run
from fairseq_lstmn.compare.types import Numbers, Options, State

# trainings of the same budget differ by less, as a share; blocks of other lengths leave other
# remainders
SAME_MINUTES, SAME_TOKENS = 0.05, 0.01


class RunStatus:
    """How far a run is.

    Attributes:
        training: its log, as far as it goes.
        best_update: with the best validation, None without any.
        evaluation: of the test set; None if it has not come to its end, or was of other items than
            those of the other runs.
        error: why the run failed, one line; None if it did not.
    """

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.run, self.training = run, run.training.read()
        best = self.training.best(experiment.valid_metric, experiment.maximize)
        self.best_update = best[0] if best else None
        self._curve_metric = experiment.curve_metric
        self.evaluation = run.scored() if run.trained() else None
        self.error = run.error() if self.evaluation is None else None

    @property
    def predictions(self) -> Predictions | None:
        return None if self.evaluation is None else self.evaluation.predictions

    @property
    def state(self) -> State:
        if self.evaluation is not None:
            return "finished"
        return "failed" if self.error else "missing"

    @property
    def curve(self) -> list[list[float]]:
        """[[update, value of what learning curves show], ...]."""
        name, values = self._curve_metric, self.training.curve
        return [
            [update, values[update][name]] for update in sorted(values) if name in values[update]
        ]

    @property
    def best_valid(self) -> float | None:
        """What learning curves show, at the best update."""
        return next((value for update, value in self.curve if update == self.best_update), None)

    @property
    def cost(self) -> Numbers:
        """What the run took; None for what is unknown, as where it was started by other means."""
        stages = [self.run.train.usage(), self.run.score.usage()]
        cpu = [usage["cpu_seconds"] for usage in stages if "cpu_seconds" in usage]
        memory = self.training.gpu_memory or max(u.get("peak_memory", 0) for u in stages)
        return {
            "minutes": self.training.seconds / 60,
            "words_per_second": self.training.speed,
            "items_per_second": self.evaluation and self.evaluation.items_per_second,
            "peak_memory": memory or None,
            "cpu_seconds": sum(cpu) if len(cpu) == len(stages) else None,
        }

    @property
    def budget(self) -> Numbers:
        """What the training took of every budget but time, and when it was at its best."""
        return {
            "updates": self.training.updates,
            "tokens_per_update": self.training.words_per_update,
            "epochs": max(self.training.epochs, default=None),
            "best_update": self.best_update,
        }


# of every model the options tried, each with how far it is
Trials: TypeAlias = Mapping[str, Sequence[tuple[Options, RunStatus]]]


def leave_out_other_tests(statuses: Sequence[RunStatus]) -> None:
    """Runs that did not answer what the first of those with most answers did count as failed."""
    done = [(status, status.evaluation) for status in statuses if status.evaluation is not None]
    if not done:
        return
    first, most = max(done, key=lambda entry: len(entry[1].numbers))
    for status, own in done:
        whole = own.predictions.in_any_blocks and not own.left_out + most.left_out
        same_examples = whole or own.numbers == most.numbers
        if not same_examples or own.predictions.targets != most.predictions.targets:
            status.evaluation = None
            counts = f" ({len(own.numbers):,} examples, not {len(most.numbers):,})"
            status.error = f"scored on other test items than {first.run.name}" + (
                counts if len(own.numbers) != len(most.numbers) else ""
            )


def unanswered(statuses: Sequence[RunStatus]) -> list[str]:
    """A sentence for each model that did not answer all of the test set."""
    sentences = {}
    for status in statuses:
        if status.evaluation is not None and status.evaluation.left_out:
            answered, others = len(status.evaluation.numbers), status.evaluation.left_out
            sentences[status.run.model] = (
                f"{status.run.model} answered {answered:,} of {answered + others:,} test examples;"
                f" the scores leave out {others:,} that are too long"
            )
    return list(sentences.values())


def budget_errors(plan: Plan, by_model: Mapping[str, Sequence[RunStatus]]) -> list[str]:
    """A sentence for each way in which the budgets of trainings differ."""
    errors = []
    done = [s for statuses in by_model.values() for s in statuses if s.evaluation is not None]
    for name in BUDGETS[plan.budget]:
        for seed in plan.seeds:
            amounts = {s.run.model: amount(s, name) for s in done if s.run.seed == seed}
            if amounts and not equal(amounts.values(), tolerance(plan, name)):
                listed = ", ".join(f"{model} {value:,.6g}" for model, value in amounts.items())
                errors.append(
                    f"unequal budgets: {name.replace('_', ' ')} with seed {seed}: {listed}"
                )
                break
    return errors


def amount(status: RunStatus, name: str) -> float:
    """How much of a budget, by the names in ``BUDGETS``, a training that is finished took."""
    if name == "minutes":
        return status.training.seconds / 60
    value = status.budget[name]
    assert value is not None  # as it has logged an epoch
    return value


def tolerance(plan: Plan, name: str) -> float:
    """By what share trainings of a budget may differ; words an update only where blocks do."""
    blocks = {plan.options(model).get("tokens-per-sample") for model in plan.models}
    tokens = SAME_TOKENS if len(blocks) > 1 else 0
    return {"minutes": SAME_MINUTES, "tokens_per_update": tokens}.get(name, 0)


def equal(values: Collection[float], share: float) -> bool:
    low, high = min(values), max(values)
    return high - low <= share * high


def run_errors(plan: Plan, statuses: Sequence[RunStatus], trials: Trials) -> list[str]:
    """A sentence for each run or trial that failed, and one for those that are missing."""
    tried = [status for entries in trials.values() for _, status in entries]
    failed = {
        s.run.folder: f"{s.run.name} failed: {s.error}" for s in [*tried, *statuses] if s.error
    }
    total = len(plan.models) * len(plan.seeds)
    missing = total - sum(s.state in ("finished", "failed") for s in statuses)
    return [*failed.values(), *([f"{missing} of {total} runs are not finished"] if missing else [])]
