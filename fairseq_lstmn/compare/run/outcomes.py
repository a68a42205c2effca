"""What the runs of a comparison have come to, and in what they are not comparable."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from fairseq_lstmn.compare.kinds.items import Items, Scored
from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.plan.plan import BUDGETS, Plan
from fairseq_lstmn.compare.run import logs
from fairseq_lstmn.compare.run.runs import Run
from fairseq_lstmn.compare.types import Numbers, Options, State

SAME_MINUTES = 0.05  # trainings of the same minutes differ by less, as a share


class Outcome:
    """What a run has come to.

    Attributes:
        training: Training, as far as it has got.
        best_update: with the best validation, None without any.
        scored: what it answered of the test set; None if it has not come to its end, or was
            asked something else than the other runs.
    """

    scored: Scored | None

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.run = run
        self.training = logs.training(logs.text(run.train.log), experiment.validated_on)
        best = self.training.best(experiment.metric, experiment.maximize)
        self.best_update = best[0] if best else None
        self._curve_metric = experiment.curve_metric
        self.scored = run.scored() if run.trained() else None
        self.error = run.error() if self.scored is None else None

    @property
    def items(self) -> Items | None:
        return None if self.scored is None else self.scored.items

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
            "items_per_second": None if self.scored is None else self.scored.items_per_second,
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
    """Runs that did not answer what the first of those with most answers did count as failed."""
    done = [(outcome, outcome.scored) for outcome in outcomes if outcome.scored is not None]
    if not done:
        return
    first, most = max(done, key=lambda entry: len(entry[1].numbers))
    for outcome, scored in done:
        if (scored.numbers, scored.items.asked) != (most.numbers, most.items.asked):
            outcome.scored = None
            counts = f" ({len(scored.numbers):,} examples, not {len(most.numbers):,})"
            outcome.error = f"scored on other test items than {first.run.name}" + (
                counts if len(scored.numbers) != len(most.numbers) else ""
            )


def unanswered(outcomes: Sequence[Outcome]) -> list[str]:
    """A sentence for each model that did not answer all of the test set."""
    found = {}
    for outcome in outcomes:
        if outcome.scored is not None and outcome.scored.left_out:
            answered, others = len(outcome.scored.numbers), outcome.scored.left_out
            found[outcome.run.model] = (
                f"{outcome.run.model} answered {answered:,} of {answered + others:,} test examples;"
                f" the scores leave out {others:,} that are too long"
            )
    return list(found.values())


def budget_errors(plan: Plan, by_model: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """A sentence for each way in which trainings were not given the same."""
    found = []
    for name in BUDGETS[plan.budget]:
        values = {
            (o.run.model, o.run.seed): given(o, name)
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


def given(outcome: Outcome, name: str) -> float:
    """What a training that has come to its end was given, by the names in ``BUDGETS``."""
    if name == "minutes":
        return outcome.training.seconds / 60
    value = outcome.budget[name]
    assert value is not None  # as it has logged an epoch
    return value


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
