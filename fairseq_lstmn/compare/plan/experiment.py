"""A plan at work in a folder: everything checked, its runs, what was chosen, how far it is."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fairseq.criterions import CRITERION_DATACLASS_REGISTRY
from fairseq.dataclass.configs import CheckpointConfig, DatasetConfig
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY

from fairseq_lstmn.compare.kinds.scoring import score_options, scoring_of, task_options
from fairseq_lstmn.compare.plan import lengths, parameters
from fairseq_lstmn.compare.plan.arguments import (
    DEFAULT_TASK,
    arguments,
    behind,
    check_training,
    listed,
    parsed,
)
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.run import fingerprint, logs
from fairseq_lstmn.compare.run.runs import Run, make_run
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.tasks.embed_std import EmbedStdConfig

# a comparison sets these itself, or could not resume or choose by validation with them
OWN = (
    *("seed", "save-dir", "log-format", "log-file", "no-epoch-checkpoints", "no-save"),
    *("no-last-checkpoints", "disable-validation", "restore-file", "reset-optimizer"),
    *("reset-dataloader", "reset-lr-scheduler", "reset-meters", "checkpoint-suffix"),
    *("validate-after-updates", "help"),
)
# beside the task's and the criterion's: with one of these of its own a model would be trained,
# chosen or scored in another way than the others
OF_ALL = frozenset(
    field.name.replace("_", "-")
    for config in (CheckpointConfig, DatasetConfig)
    for field in fields(config)
) | {"task", "criterion", "cpu", "distributed-world-size", "user-dir"}


class Experiment:
    """What a Plan compares, in the folder ``dest`` (a Path).

    Raises InputError, naming the key and its value, for all that cannot be run.

    Attributes:
        chosen: {model: options} that ``match`` has set.
        parameters: {model: Parameters}.
        subsets: the parts of the data by what they are for: train, valid, test.
        warnings: sentences about training examples that are too long and so left out.
        versions: of what results depend on.
    """

    def __init__(self, plan: Plan, dest: Path) -> None:
        self.plan, self.dest = plan, dest
        self._check_data()
        self._check_own()
        self._check_models()
        self._scoring = scoring_of(plan, self._task_name)
        self.chosen, counters = self._match()
        self.parameters = {model: counter.count() for model, counter in counters.items()}
        self._check_trials()
        self._check_scoring()
        own = {name: plan.score[name] for name in task_options(self._task_name) & {*plan.score}}
        self.warnings = lengths.check(plan, counters, self.subsets, scored_with=own)
        self.versions = fingerprint.versions()
        self._data = [] if plan.data is None else fingerprint.of_data(plan.data)

    def options(self, model: str, trial: Options | None = None) -> Options:
        """The options of fairseq-train for a model, in a trial of ``tune``."""
        return {**self.plan.options(model), **self.chosen[model], **(trial or {})}

    def trials(self) -> dict[str, list[tuple[Options, Run]]]:
        """{model: [(options tried, Run with the first seed)]}; empty without ``tune``."""
        if not self.plan.tune:
            return {}
        return {
            model: [
                (trial, self._run(model, self.plan.seeds[0], trial)) for trial in self.plan.trials()
            ]
            for model in self.plan.models
        }

    def trial_runs(self) -> list[Run]:
        """The Runs of all trials."""
        return [run for tried in self.trials().values() for _, run in tried]

    def tuned(self) -> dict[str, Options | None]:
        """{model: the best trial's options by validation}; None while trials are missing."""
        found: dict[str, Options | None] = {model: {} for model in self.plan.models}
        for model, trials in self.trials().items():
            found[model] = None
            if all(run.trained() for _, run in trials):
                validated = [(self.validation(run), trial) for trial, run in trials]
                # of a training that diverged there is none
                values = [(value, trial) for value, trial in validated if value is not None]
                best = max if self.maximize else min
                found[model] = best(values, key=lambda entry: entry[0], default=(0, None))[1]
        return found

    def runs(self, tuned: Mapping[str, Options | None]) -> list[Run]:
        """The runs of all models and seeds, seed by seed, so that no model waits for the last."""
        return [
            self._run(model, seed, trial)
            for seed in self.plan.seeds
            for model in self.plan.models
            if (trial := tuned[model]) is not None
        ]

    @property
    def metric(self) -> str:
        """The name that fairseq logs the validation metric by, which chooses checkpoints."""
        return str(self.plan.train.get("best-checkpoint-metric", "loss"))

    @property
    def maximize(self) -> bool:
        return bool(self.plan.train.get("maximize-best-checkpoint-metric", False))

    @property
    def curve_metric(self) -> str:
        """What learning curves show: the validation metric, of a loss in words the perplexity."""
        by_words = self.metric == "loss" and "perplexity" in self.plan.metrics
        return "ppl" if by_words else self.metric

    @property
    def validated_on(self) -> str:
        """The part of the data whose metric chooses checkpoints: of several the first."""
        return self.subsets["valid"].split(",")[0]

    def validation(self, run: Run) -> float | None:
        """The best value of the validation metric of a run; None if there is none."""
        training = logs.training(logs.text(run.train.log), self.validated_on)
        best = training.best(self.metric, self.maximize)
        return best and best[1]

    def count(self, model: str, trial: Options | None) -> parameters.Parameters:
        """The Parameters of a model with the options of a trial."""
        if not trial:
            return self.parameters[model]
        options = self.options(model, trial)
        return parameters.Counter(self.plan.data, options, f"models.{model}").count()

    def _run(self, model: str, seed: int, trial: Options) -> Run:
        options = self.options(model, trial)
        made_by = [self._data, fingerprint.of_named_files(options), self.versions]
        return make_run(self.plan, self.dest, self._scoring, made_by, model, seed, trial, options)

    def _check_data(self) -> None:
        data, task = self.plan.data, self._task_name
        config = TASK_DATACLASS_REGISTRY.get(task)
        reads = config is None or "data" in {field.name for field in fields(config)}
        if data is None and reads and task in TASK_REGISTRY:
            raise InputError(f"data: is missing (the task {task} reads it)")
        if data is not None and not reads:
            raise InputError(f"data: {data}: the task {task} reads none")

    def _check_own(self) -> None:
        own = {f"models.{name}": options for name, options in self.plan.models.items()}
        own["tune"] = self.plan.tune
        everywhere = {"train": self.plan.train, **own}
        for section, name, value in entries(everywhere):
            if name in OWN:
                raise InputError(f"{section}.{name}: {value}: is set by compare")
        of_all = OF_ALL | self._of_task_and_criterion()
        for section, name, value in entries(own):
            if name in of_all:
                raise InputError(f"{section}.{name}: {value}: must stand in train, for all")
        if "arch" in self.plan.tune:
            raise InputError(f"tune.arch: {self.plan.tune['arch']}: a model has one")
        for section, name, value in entries(everywhere):
            for path in listed(value):
                if name.endswith("-embed-path") and not Path(str(path)).is_file():
                    raise InputError(f"{section}.{name}: {path}: no such file")

    def _of_task_and_criterion(self) -> set[str]:
        """Names of the options of the task, but for those on its models, and of the criterion."""
        chosen = (
            TASK_DATACLASS_REGISTRY.get(self._task_name),
            CRITERION_DATACLASS_REGISTRY.get(self.plan.train.get("criterion", "cross_entropy")),
        )
        return {
            field.name.replace("_", "-")
            for config in chosen
            if config
            for field in fields(config)
            if field not in fields(EmbedStdConfig)
        }

    @property
    def _task_name(self) -> str:
        name: str = self.plan.train.get("task", DEFAULT_TASK)
        return name

    def _check_models(self) -> None:
        for model in self.plan.models:
            check_training(self.plan.data, self.plan.options(model), f"models.{model}")

    def _match(self) -> tuple[dict[str, Options], dict[str, parameters.Counter]]:
        """Options that the plan's ``match`` sets, and what counts parameters, both by model."""
        plan = self.plan

        def counter(model: str, chosen: Options) -> parameters.Counter:
            options = {**plan.options(model), **chosen}
            return parameters.Counter(plan.data, options, f"models.{model}")

        counters = {plan.baseline: counter(plan.baseline, {})}
        wanted = counters[plan.baseline].count()
        chosen: dict[str, Options] = {plan.baseline: {}}
        for model in plan.models:
            if model not in counters:
                chosen[model] = self._sizes(model, wanted) if plan.match else {}
                counters[model] = counter(model, chosen[model])
        return chosen, counters

    def _sizes(self, model: str, wanted: parameters.Parameters) -> Options:
        options, section = self.plan.options(model), f"models.{model}"
        return parameters.match(self.plan.data, options, wanted.all, section)

    def _check_trials(self) -> None:
        for model in self.plan.models if self.plan.tune else ():
            for trial in self.plan.trials():
                check_training(self.plan.data, self.options(model, trial), f"models.{model}, tune")

    def _check_scoring(self) -> None:
        plan, scoring = self.plan, self._scoring
        options = score_options(scoring, self.options(plan.baseline), plan.score)
        argv = [*behind(plan.data), *arguments(options), "--path", "checkpoint_best.pt"]
        parsed(scoring.parser(), argv, options, "score")
        self.subsets = {
            "train": str(plan.train.get("train-subset", "train")),
            "valid": str(plan.train.get("valid-subset", "valid")),
            "test": str(options[scoring.subset]),
        }
        for part in ("train", "valid"):
            if set(self.subsets[part].split(",")) & set(self.subsets["test"].split(",")):
                raise InputError(
                    f"score.{scoring.subset}: {self.subsets['test']}: is what models are "
                    f"{'trained' if part == 'train' else 'chosen'} on (train.{part}-subset)"
                )
        for subset in ",".join(self.subsets.values()).split(","):
            if not self._has(subset):
                where = f"data: {plan.data}" if plan.data else f"train.task: {self._task_name}"
                raise InputError(f"{where}: has no part {subset!r}")

    def _has(self, subset: str) -> bool:
        """Whether there is such a part of the data, or of what the task makes."""
        data = self.plan.data
        if data is None:
            return subset in TASK_REGISTRY[self._task_name].parts
        return any(Path(data.split(":")[0]).rglob(f"{subset}.*idx"))


def entries(sections: Mapping[str, Options]) -> Iterator[tuple[str, str, Any]]:
    """(section, option, value) of dicts of options by section."""
    for section, options in sections.items():
        for name, value in options.items():
            yield section, name, value
