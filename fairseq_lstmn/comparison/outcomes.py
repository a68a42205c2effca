"""What the runs of a comparison have come to, and in what they are not comparable."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from fairseq_lstmn.comparison import logs
from fairseq_lstmn.comparison.comparison import Comparison
from fairseq_lstmn.comparison.items import Items
from fairseq_lstmn.comparison.plan import BUDGETS, Plan
from fairseq_lstmn.comparison.record import Numbers, State
from fairseq_lstmn.comparison.runs import Run
from fairseq_lstmn.comparison.types import Options

SAME_MINUTES = 0.05  # trainings of the same minutes differ by less, as a share


class Outcome:
    """What a run has come to.

    Attributes:
        training: Training, as far as it has got.
        best_update: with the best validation, None without any.
        items, items_per_second: of the test set; None if it has not come to its end.
    """

    items: Items | None
    items_per_second: float | None

    def __init__(self, run: Run, comparison: Comparison) -> None:
        self.run = run
        self.training = logs.training(logs.text(run.train.log), comparison.validated_on)
        best = self.training.best(comparison.metric, comparison.maximize)
        self.best_update = best[0] if best else None
        self._curve_metric = comparison.curve_metric
        self.items, self.items_per_second = (run.trained() and run.scored()) or (None, None)
        self.error = run.error() if self.items is None else None

    @property
    def state(self) -> State:
        if self.items is not None:
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
        memory = self.training.gpu_memory or max(u.get("peak_memory", 0) for u in stages)
        return {
            "minutes": self.training.seconds / 60,
            "words_per_second": self.training.speed,
            "items_per_second": self.items_per_second,
            "peak_memory": memory or None,
            "cpu_seconds": sum(u["cpu_seconds"] for u in stages) if all(stages) else None,
        }

    @property
    def budget(self) -> Numbers:
        """What the training was given, and when it was at its best; time apart."""
        return {
            "updates": self.training.updates,
            "tokens_per_update": self.training.words_per_update,
            "epochs": max(self.training.epochs, default=None),
            "best_update": self.best_update,
        }


# of every model the options tried, each with what came of them
Trials: TypeAlias = Mapping[str, Sequence[tuple[Options, Outcome]]]


def leave_out_other_tests(outcomes: Sequence[Outcome]) -> None:
    """Runs that were not asked what the first one was count as failed."""
    done = [(outcome, outcome.items.asked) for outcome in outcomes if outcome.items is not None]
    for outcome, asked in done[1:]:
        first, wanted = done[0]
        if asked != wanted:
            outcome.items = None
            outcome.error = f"scored on other test items than {first.run.name}"


def budget_errors(plan: Plan, by_model: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """A sentence for each way in which trainings were not given the same."""
    found = []
    for name in BUDGETS[plan.budget]:
        values = {
            (o.run.model, o.run.seed): {**o.budget, "minutes": o.training.seconds / 60}[name]
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


def equal(values: Collection[float], name: str) -> bool:
    low, high = min(values), max(values)
    return high - low <= (SAME_MINUTES * high if name == "minutes" else 0)


def run_errors(plan: Plan, outcomes: Sequence[Outcome], trials: Trials) -> list[str]:
    """A sentence for each run or trial that failed, and one for those that are missing.

    Args:
        trials: {model: [(options tried, Outcome)]}.
    """
    tried = [outcome for tried in trials.values() for _, outcome in tried]
    told = {o.run.folder: f"{o.run.name} failed: {o.error}" for o in [*tried, *outcomes] if o.error}
    wanted = len(plan.models) * len(plan.seeds)
    missing = wanted - sum(o.state in ("finished", "failed") for o in outcomes)
    return [*told.values(), *([f"{missing} of {wanted} runs are not finished"] if missing else [])]
