"""Runs: one model with one seed, its folder, its two commands, and how far it has got."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from fairseq_lstmn.compare.kinds.items import Scored
from fairseq_lstmn.compare.kinds.scoring import Scoring, score_options
from fairseq_lstmn.compare.plan.arguments import arguments, behind, spelled
from fairseq_lstmn.compare.plan.plan import Plan
from fairseq_lstmn.compare.run import logs
from fairseq_lstmn.compare.run.fingerprint import PACKAGE, digest
from fairseq_lstmn.compare.types import Options

MODULES = {
    "fairseq-train": "fairseq_cli.train",
    "fairseq-eval-lm": "fairseq_cli.eval_lm",
    "fairseq-generate": "fairseq_cli.generate",
}


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
            found: Usage = json.loads(self.usage_path.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def last_line(self) -> str:
        """The last line of its log, which says why it failed."""
        lines = logs.text(self.log).strip().splitlines()
        return lines[-1] if lines else "wrote nothing"


@dataclass(frozen=True)
class Run:
    """A training with one seed and its scoring. Equal runs have the same folder."""

    model: str
    seed: int
    trial: Options
    options: Options
    folder: Path
    train: Stage
    score: Stage
    how: Scoring

    @property
    def name(self) -> str:
        tried = [f"{option} {value}" for option, value in self.trial.items()]
        return ", ".join([str(self.model), f"seed {self.seed}", *tried])

    @property
    def best_checkpoint(self) -> Path:
        return self.folder / "checkpoint_best.pt"

    def trained(self) -> bool:
        """Whether the training has come to its end."""
        return self.best_checkpoint.exists() and logs.is_finished(logs.text(self.train.log))

    def scored(self) -> Scored | None:
        """(items, items a second) of the test set; None while they are not all there."""
        return self.how.read(self.score.log.parent, logs.text(self.score.log))

    def forget_scores(self) -> None:
        """Remove what was scored of another training than the one to come."""
        for scores in self.folder.glob("score-*"):
            shutil.rmtree(scores)

    def error(self) -> str | None:
        """Why it has come to an end without its result, one line; None if it has not."""
        if not self.best_checkpoint.exists() and logs.is_finished(logs.text(self.train.log)):
            # fairseq would find that all is done, and write no other
            return f"train: {self.best_checkpoint} is missing; without its folder it is made anew"
        stage = self.score if self.trained() else self.train
        status = stage.usage().get("status")
        if status is None:
            return None
        return f"{stage.name}: {stage.last_line() if status else 'ended without its result'}"


def make_run(
    plan: Plan,
    dest: Path,
    how: Scoring,
    made_by: Sequence[object],
    model: str,
    seed: int,
    trial: Options,
    options: Options,
) -> Run:
    """The Run of a model of ``plan`` in a folder of ``dest``.

    Args:
        how: the Scoring of the plan's metrics.
        made_by: what the results depend on beside the options: the data, files, versions.
        trial: what ``tune`` chose or tries, for the run's name.
        options: of fairseq-train, all but those that are set here.
    """
    folder = dest / "runs" / f"{model}-seed{seed}-{digest([spelled(options), seed, made_by])}"
    options = {"user-dir": str(PACKAGE), "distributed-world-size": 1, **options}
    own = {
        "seed": seed,
        "save-dir": str(folder),
        "log-format": "json",
        "no-epoch-checkpoints": True,
    }
    train = ["fairseq-train", *behind(plan.data), *arguments({**options, **own})]
    scores = folder / f"score-{digest(spelled(plan.score))}"
    best = {"path": str(folder / "checkpoint_best.pt")}
    scored = score_options(how, options, plan.score)
    named = [*behind(plan.data), *arguments({**scored, **best})]
    score = [*how.command, *named, *how.extra(scores)]
    return Run(
        model=model,
        seed=seed,
        trial=trial,
        options=options,
        folder=folder,
        train=Stage("train", train, folder / "train.log"),
        score=Stage("score", score, scores / "score.log"),
        how=how,
    )
