"""What a plan compares, checked with fairseq: models of matched sizes, their options and data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairseq.criterions import CRITERION_DATACLASS_REGISTRY
from fairseq.dataclass.configs import CheckpointConfig, DatasetConfig
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from fairseq.tasks.language_modeling import LanguageModelingTask

from fairseq_lstmn.compare.kinds.kind import Kind, kind_of
from fairseq_lstmn.compare.plan.models import ModelBuilder, Parameters, check_lengths, match
from fairseq_lstmn.compare.plan.options import (
    DEFAULT_TASK,
    check_training,
    listed,
    names_of,
    parsed,
    score_options,
    task_options,
)
from fairseq_lstmn.compare.plan.plan import Plan
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
OF_ALL = names_of(CheckpointConfig, DatasetConfig) | {
    *("task", "criterion", "cpu", "distributed-world-size", "user-dir"),
}
# of those, how a text is cut: what a model sees that carries nothing, and so its own to choose, as
# long as an update has as many words as the others'
BLOCKS = "tokens-per-sample", "batch-size"


class Experiment:
    """What a Plan compares.

    Raises InputError, naming the key and its value, for all that cannot be run.

    Attributes:
        kind: of the task.
        metrics: of the kind, those that the plan names.
        chosen: {model: options} that ``match`` has set.
        parameters: {model: Parameters}.
        subsets: the parts of the data by what they are for: train, valid, test.
        warnings: sentences about training examples that are too long and so left out.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._task: str = plan.train.get("task", DEFAULT_TASK)
        self._check_data()
        self._check_places()
        for model in plan.models:
            check_training(plan.data, plan.options(model), f"models.{model}")
        self.kind = self._kind()
        by_name = {metric.name: metric for metric in self.kind.metrics}
        self.metrics = [by_name[name] for name in plan.metrics]
        self.chosen: dict[str, Options] = {model: {} for model in plan.models}
        self.parameters: dict[str, Parameters] = {}
        builders = self._matched()
        for model in plan.models if plan.tune else ():
            for trial in plan.trials():
                check_training(plan.data, self.options(model, trial), f"models.{model}, tune")
        self.subsets = self._subsets()
        own = {name: plan.score[name] for name in task_options(self._task) & {*plan.score}}
        self.warnings = check_lengths(plan, builders, self.subsets, own)

    def options(self, model: str, trial: Options | None = None) -> Options:
        """The options of fairseq-train for a model, in a trial of ``tune``."""
        return {**self.plan.options(model), **self.chosen[model], **(trial or {})}

    def count(self, model: str, trial: Options | None) -> Parameters:
        """The Parameters of a model with the options of a trial."""
        if not trial:
            return self.parameters[model]
        return ModelBuilder(self.plan.data, self.options(model, trial), f"models.{model}").count()

    @property
    def valid_metric(self) -> str:
        """The name that fairseq logs the validation metric by, which chooses checkpoints."""
        return str(self.plan.train.get("best-checkpoint-metric", "loss"))

    @property
    def maximize(self) -> bool:
        return bool(self.plan.train.get("maximize-best-checkpoint-metric", False))

    @property
    def curve_metric(self) -> str:
        """What learning curves show: the validation metric, of a loss in words the perplexity."""
        by_words = self.valid_metric == "loss" and "perplexity" in self.plan.metrics
        return "ppl" if by_words else self.valid_metric

    @property
    def validated_on(self) -> str:
        """The part of the data whose metric chooses checkpoints: of several the first."""
        return self.subsets["valid"].split(",")[0]

    def _check_data(self) -> None:
        data, config = self.plan.data, TASK_DATACLASS_REGISTRY.get(self._task)
        reads = config is None or "data" in names_of(config)
        if data is None and reads and self._task in TASK_REGISTRY:
            raise InputError(f"data: is missing (the task {self._task} reads it)")
        if data is not None and not reads:
            raise InputError(f"data: {data}: the task {self._task} reads none")

    def _check_places(self) -> None:
        """Options that stand where they may not, and files that are not there."""
        own = {f"models.{name}": options for name, options in self.plan.models.items()}
        own["tune"] = self.plan.tune
        everywhere = {"train": self.plan.train, **own}
        for section, name, value in entries(everywhere):
            if name in OWN:
                raise InputError(f"{section}.{name}: {value}: is set by compare")
        criterion = self.plan.train.get("criterion", "cross_entropy")
        of_criterion = names_of(CRITERION_DATACLASS_REGISTRY.get(criterion))
        of_task = (task_options(self._task) | of_criterion) - names_of(EmbedStdConfig)
        blocks = BLOCKS if self._cuts_blocks() else ()
        for section, name, value in entries(own):
            if name in OF_ALL | of_task and (name not in blocks or section == "tune"):
                raise InputError(f"{section}.{name}: {value}: must stand in train, for all")
        if "arch" in self.plan.tune:
            raise InputError(f"tune.arch: {self.plan.tune['arch']}: a model has one")
        for section, name, value in entries(everywhere):
            for path in listed(value):
                if name.endswith("-embed-path") and not Path(str(path)).is_file():
                    raise InputError(f"{section}.{name}: {path}: no such file")

    def _cuts_blocks(self) -> bool:
        """Whether every model has a text in blocks, and the same number of words an update."""
        train = self.plan.train
        is_text = issubclass(TASK_REGISTRY.get(self._task, object), LanguageModelingTask)
        if not is_text or train.get("sample-break-mode", "none") != "none":
            return False
        words = set()
        for model in self.plan.models:
            length, rows = map(self.plan.options(model).get, BLOCKS)
            if not isinstance(length, int) or not isinstance(rows, int):
                return False
            words.add(length * rows)
        return len(words) == 1

    def _kind(self) -> Kind:
        kind = kind_of(TASK_REGISTRY[self._task])
        names = [metric.name for metric in kind.metrics] if kind else []
        for metric in self.plan.metrics:
            if kind is None or metric not in names:
                has = ", ".join(names) or "none of them"
                raise InputError(
                    f"score.metric: {metric}: not for the task {self._task} (it has {has})"
                )
        assert kind is not None  # as a plan has a metric
        kind.check(self.plan.train)
        return kind

    def _matched(self) -> dict[str, ModelBuilder]:
        """What builds every model, the baseline first; sizes are chosen, parameters counted."""
        plan = self.plan
        builders: dict[str, ModelBuilder] = {}
        for model in dict.fromkeys([plan.baseline, *plan.models]):
            section, twin = f"models.{model}", plan.trained_as(model)
            if twin in builders:
                builders[model], self.chosen[model] = builders[twin], self.chosen[twin]
                self.parameters[model] = self.parameters[twin]
                continue
            if plan.match and model != plan.baseline:
                target = self.parameters[plan.baseline].all
                options = plan.options(model)
                self.chosen[model] = match(plan.data, options, target, section)
            builders[model] = ModelBuilder(plan.data, self.options(model), section)
            self.parameters[model] = builders[model].count()
        return builders

    def _subsets(self) -> dict[str, str]:
        plan, kind = self.plan, self.kind
        for model in plan.models:
            options = score_options(kind, self.options(model), plan.scoring(model))
            section = "score" if plan.scoring(model) == plan.score else f"models.{model}"
            parsed(kind.parser(), plan.data, {**options, "path": "checkpoint_best.pt"}, section)
        subsets = {
            "train": str(plan.train.get("train-subset", "train")),
            "valid": str(plan.train.get("valid-subset", "valid")),
            "test": str(options[kind.subset]),
        }
        for part, verb in (("train", "trained"), ("valid", "chosen")):
            if set(subsets[part].split(",")) & set(subsets["test"].split(",")):
                raise InputError(
                    f"score.{kind.subset}: {subsets['test']}: is what models are {verb} on "
                    f"(train.{part}-subset)"
                )
        for subset in ",".join(subsets.values()).split(","):
            if not self._has(subset):
                where = f"data: {plan.data}" if plan.data else f"train.task: {self._task}"
                raise InputError(f"{where}: has no part {subset!r}")
        return subsets

    def _has(self, subset: str) -> bool:
        """Whether there is such a part of the data, or of what the task makes."""
        data = self.plan.data
        if data is None:
            return subset in TASK_REGISTRY[self._task].parts
        return any(Path(data.split(":")[0]).rglob(f"{subset}.*idx"))


def entries(sections: Mapping[str, Options]) -> Iterator[tuple[str, str, Any]]:
    """(section, option, value) of dicts of options by section."""
    for section, options in sections.items():
        for name, value in options.items():
            yield section, name, value
