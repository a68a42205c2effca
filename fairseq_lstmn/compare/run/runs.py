"""The runs of an experiment: one model with one seed, its folder, two commands, how far it is."""

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from fairseq_lstmn.compare.files import replace
from fairseq_lstmn.compare.kinds.kind import Evaluation, Kind
from fairseq_lstmn.compare.plan.experiment import Experiment
from fairseq_lstmn.compare.plan.options import arguments, score_options, spelled
from fairseq_lstmn.compare.run import fingerprint
from fairseq_lstmn.compare.run.training_log import TrainingLog
from fairseq_lstmn.compare.types import Options

MODULES = {
    "fairseq-train": "fairseq_cli.train",
    "fairseq-eval-lm": "fairseq_cli.eval_lm",
    "fairseq-generate": "fairseq_cli.generate",
}

BEST = "checkpoint_best.pt"


class Usage(TypedDict, total=False):
    """What the process of a stage took, all attempts together (see ``launcher``)."""

    status: int | None  # of its end; None if it was interrupted
    seconds: float
    cpu_seconds: float
    peak_memory: int  # bytes


@dataclass(frozen=True)
class Stage:
    """A command of a run, and the file that gets all it prints."""

    name: str
    command: list[str]
    log: Path

    def line(self) -> str:
        """The command as one line for a shell, ready to be pasted."""
        return f"{shlex.join(self.command)} >> {shlex.quote(str(self.log))} 2>&1"

    def argv(self) -> list[str]:
        """The command for this very interpreter, whatever the PATH."""
        if self.command[0] == "python":
            return [sys.executable, *self.command[1:]]
        return [sys.executable, "-m", MODULES[self.command[0]], *self.command[1:]]

    @property
    def usage_path(self) -> Path:
        return self.log.with_suffix(".usage.json")

    def usage(self) -> Usage:
        """What its process took (see ``launcher``), {} where it was started by other means."""
        try:
            usage: Usage = json.loads(self.usage_path.read_text())
        except (OSError, ValueError):
            return {}
        return usage

    def note(self, usage: Usage) -> None:
        """Write down what its process took, or a part of it that has changed."""
        # a kill in the middle would lose what earlier attempts took
        replace(self.usage_path, json.dumps({**self.usage(), **usage}))

    def text(self) -> str:
        """What stands in its log so far; nothing if there is none."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def last_line(self) -> str:
        """The last line of its log, which says why it failed."""
        lines = self.text().strip().splitlines()
        return lines[-1] if lines else "wrote nothing"


@dataclass(frozen=True)
class Run:
    """A training with one seed and its scoring. Equal trainings have the same folder."""

    model: str
    seed: int
    trial: Options
    options: Options
    folder: Path
    train: Stage
    score: Stage
    kind: Kind
    training: TrainingLog = field(compare=False)

    @property
    def name(self) -> str:
        tried = [f"{option} {value}" for option, value in self.trial.items()]
        return ", ".join([str(self.model), f"seed {self.seed}", *tried])

    @property
    def lock(self) -> Path:
        """The file whose lock (see ``lock``) is held by the process that is at work on it."""
        return self.folder / "lock"

    @property
    def best_checkpoint(self) -> Path:
        return self.folder / BEST

    def trained(self) -> bool:
        """Whether the training has come to its end."""
        return self.best_checkpoint.exists() and self.training.read().finished

    def scored(self) -> Evaluation | None:
        """What it answered of the test set; None while that is not all there."""
        return self.kind.read(self.score.log.parent, self.score.text())

    def forget_scores(self) -> None:
        """Remove what was scored of another training than the one to come."""
        for scores in self.folder.glob("score-*"):
            shutil.rmtree(scores)

    def error(self) -> str | None:
        """Why it has come to an end without its result, one line; None if it has not."""
        if not self.best_checkpoint.exists() and self.training.read().finished:
            # fairseq would find that all is done, and write no other
            return f"train: {self.best_checkpoint} is missing; without its folder it is made anew"
        stage = self.score if self.trained() else self.train
        status = stage.usage().get("status")
        if status is None or (stage is self.score and self.scored() is not None):
            return None
        return f"{stage.name}: {stage.last_line() if status else 'ended without its result'}"


@dataclass
class Work:
    """A stage of a run that somebody is at work on."""

    run: Run
    stage: Stage


class Runs:
    """The runs of an Experiment, in the folder ``dest``.

    Attributes:
        versions: of what results depend on.
    """

    def __init__(self, experiment: Experiment, dest: Path) -> None:
        self.experiment, self.dest = experiment, dest
        self.versions = fingerprint.versions()
        data = experiment.plan.data
        self._data = [] if data is None else fingerprint.of_data(data)
        self._logs: dict[Path, TrainingLog] = {}

    def trials(self) -> dict[str, list[tuple[Options, Run]]]:
        """{model: [(options tried, Run with the first seed)]}; empty without ``tune``."""
        plan = self.experiment.plan
        if not plan.tune:
            return {}
        return {
            model: [(trial, self._run(model, plan.seeds[0], trial)) for trial in plan.trials()]
            for model in plan.models
        }

    def tuned(self) -> dict[str, Options | None]:
        """{model: the best trial's options by validation}; None while trials are missing."""
        experiment = self.experiment
        tuned: dict[str, Options | None] = {model: {} for model in experiment.plan.models}
        for model, trials in self.trials().items():
            tuned[model] = None
            if all(run.trained() for _, run in trials):
                values = [
                    (best[1], trial)
                    for trial, run in trials
                    # of a training that diverged there is none
                    if (best := run.training.best(experiment.valid_metric, experiment.maximize))
                ]
                choose = max if experiment.maximize else min
                tuned[model] = choose(values, key=lambda entry: entry[0], default=(0, None))[1]
        return tuned

    def of_trials(self) -> list[Run]:
        return [run for tried in self.trials().values() for _, run in tried]

    def of_all_seeds(self, tuned: Mapping[str, Options | None]) -> list[Run]:
        """Of all models, seed by seed, so that no model waits for the last."""
        return [
            self._run(model, seed, trial)
            for seed in self.experiment.plan.seeds
            for model in self.experiment.plan.models
            if (trial := tuned[model]) is not None
        ]

    def _run(self, model: str, seed: int, trial: Options) -> Run:
        plan, kind = self.experiment.plan, self.experiment.kind
        data = plan.data
        options = self.experiment.options(model, trial)
        depends_on = [self._data, fingerprint.of_named_files(options), self.versions]
        digest = fingerprint.digest([spelled(options), seed, depends_on])
        folder = self.dest / "runs" / f"{plan.trained_as(model)}-seed{seed}-{digest}"
        options = {"user-dir": str(fingerprint.PACKAGE), "distributed-world-size": 1, **options}
        own = {"seed": seed, "save-dir": str(folder), "log-format": "json"}
        training = {**options, **own, "no-epoch-checkpoints": True}
        train = ["fairseq-train", *arguments(data, training)]
        score_own = plan.scoring(model)
        scores = folder / f"score-{fingerprint.digest(spelled(score_own))}"
        best = {"path": str(folder / BEST)}
        scoring = {**score_options(kind, options, score_own), **best}
        score = [*kind.command, *arguments(data, scoring), *kind.output_options(scores)]
        log = folder / "train.log"
        return Run(
            *(model, seed, trial, options, folder),
            Stage("train", train, log),
            Stage("score", score, scores / "score.log"),
            kind,
            self._logs.setdefault(folder, TrainingLog(log, self.experiment.validated_on)),
        )
