"""A plan at work in a folder: everything checked, its runs, what was chosen, how far it is."""

from pathlib import Path

from fairseq_lstmn.comparison import fingerprint, logs, parameters
from fairseq_lstmn.comparison.arguments import DEFAULT_TASK, arguments, check_training, parsed
from fairseq_lstmn.comparison.runs import make_run
from fairseq_lstmn.comparison.scoring import score_options, scoring_of
from fairseq_lstmn.errors import InputError

# a comparison sets these itself, or could not resume or choose by validation with them
OWN = (
    *("seed", "save-dir", "log-format", "log-file", "no-epoch-checkpoints", "no-save"),
    *("no-last-checkpoints", "disable-validation", "restore-file", "reset-optimizer"),
    *("reset-dataloader", "reset-lr-scheduler", "reset-meters"),
)
# with these of its own a model would be trained, or chosen, on something else
OF_ALL = (
    *("task", "train-subset", "valid-subset", "cpu", "distributed-world-size", "user-dir"),
    *("best-checkpoint-metric", "maximize-best-checkpoint-metric"),
)


class Comparison:
    """What a Plan compares, in the folder ``dest`` (a Path).

    Raises InputError, naming the key and its value, for all that cannot be run.

    Attributes:
        chosen: {model: options} that ``match`` has set.
        parameters: {model: Parameters}.
    """

    def __init__(self, plan, dest):
        self.plan, self.dest = plan, dest
        self._check_own()
        self.task = self._task()
        self._scoring = scoring_of(plan, self.task)
        self.chosen, self.parameters = self._match()
        self._check_trials()
        self._check_scoring(self._scoring)
        self.versions = fingerprint.versions()
        self._data = fingerprint.of_data(plan.data)

    def options(self, model, trial=None):
        """The options of fairseq-train for a model, in a trial of ``tune``."""
        return {**self.plan.options(model), **self.chosen[model], **(trial or {})}

    def trials(self):
        """{model: [(options tried, Run with the first seed)]}; empty without ``tune``."""
        if not self.plan.tune:
            return {}
        return {
            model: [
                (trial, self._run(model, self.plan.seeds[0], trial)) for trial in self.plan.trials()
            ]
            for model in self.plan.models
        }

    def tuned(self):
        """{model: the best trial's options by validation}; None while trials are missing."""
        found = {model: {} for model in self.plan.models}
        for model, trials in self.trials().items():
            values = [(self.validation(run), trial) for trial, run in trials if run.trained()]
            if len(values) < len(trials):
                found[model] = None
                continue
            best = max if self.maximize else min
            found[model] = best(values, key=lambda entry: entry[0])[1]
        return found

    def runs(self, tuned):
        """The runs of all models and seeds, seed by seed, so that no model waits for the last."""
        return [
            self._run(model, seed, tuned[model])
            for seed in self.plan.seeds
            for model in self.plan.models
            if tuned[model] is not None
        ]

    @property
    def metric(self):
        """The name that fairseq logs the validation metric by, which chooses checkpoints."""
        return str(self.plan.train.get("best-checkpoint-metric", "loss"))

    @property
    def maximize(self):
        return bool(self.plan.train.get("maximize-best-checkpoint-metric", False))

    @property
    def curve_metric(self):
        """What learning curves show: the validation metric, of a loss in words the perplexity."""
        by_words = self.metric == "loss" and "perplexity" in self.plan.metrics
        return "ppl" if by_words else self.metric

    def validation(self, run):
        """The best value of the validation metric of a run that has been trained."""
        return logs.training(logs.text(run.train.log)).best(self.metric, self.maximize)[1]

    def _run(self, model, seed, trial):
        options = self.options(model, trial)
        made_by = [self._data, fingerprint.of_named_files(options), self.versions]
        return make_run(self.plan, self.dest, self._scoring, made_by, model, seed, trial, options)

    def _check_own(self):
        own = {f"models.{name}": options for name, options in self.plan.models.items()}
        own["tune"] = self.plan.tune
        everywhere = {"train": self.plan.train, **own}
        for section, name, value in entries(everywhere):
            if name in OWN:
                raise InputError(f"{section}.{name}: {value}: is set by compare")
        for section, name, value in entries(own):
            if name in OF_ALL:
                raise InputError(f"{section}.{name}: {value}: must stand in train, for all")
        for section, name, value in entries(everywhere):
            for path in value if isinstance(value, list) else [value]:
                if name.endswith("-embed-path") and not Path(str(path)).is_file():
                    raise InputError(f"{section}.{name}: {path}: no such file")

    def _task(self):
        """The name of the task; every model's options are checked by the way."""
        for model in self.plan.models:
            check_training(self.plan.data, self.plan.options(model), f"models.{model}")
        return self.plan.train.get("task", DEFAULT_TASK)

    def _match(self):
        """Options that the plan's ``match`` sets, and parameters, both by model."""
        plan = self.plan

        def count(model, chosen):
            options = {**plan.options(model), **chosen}
            return parameters.Counter(plan.data, options, f"models.{model}").count()

        counts = {plan.baseline: count(plan.baseline, {})}
        chosen = {plan.baseline: {}}
        for model in plan.models:
            if model not in counts:
                chosen[model] = self._sizes(model, counts[plan.baseline]) if plan.match else {}
                counts[model] = count(model, chosen[model])
        return chosen, counts

    def _sizes(self, model, wanted):
        options, section = self.plan.options(model), f"models.{model}"
        return parameters.match(self.plan.data, options, wanted.all, section)

    def _check_trials(self):
        for model in self.plan.models if self.plan.tune else ():
            for trial in self.plan.trials():
                check_training(self.plan.data, self.options(model, trial), f"models.{model}, tune")

    def _check_scoring(self, scoring):
        plan = self.plan
        options = score_options(scoring, self.options(plan.baseline), plan.score)
        argv = [plan.data, *arguments(options), "--path", "checkpoint_best.pt"]
        parsed(scoring.parser(), argv, options, "score")
        self.subsets = {
            "train": str(plan.train.get("train-subset", "train")),
            "valid": str(plan.train.get("valid-subset", "valid")),
            "test": str(options[scoring.subset]),
        }
        for subset in ",".join(self.subsets.values()).split(","):
            if not any(Path(plan.data.split(":")[0]).rglob(f"{subset}.*idx")):
                raise InputError(f"data: {plan.data}: has no part {subset!r}")


def entries(sections):
    """(section, option, value) of dicts of options by section."""
    for section, options in sections.items():
        for name, value in options.items():
            yield section, name, value
