"""Runs: one model with one seed, its folder, its two commands, and how far it has got."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

from fairseq_lstmn.comparison import logs, scoring
from fairseq_lstmn.comparison.arguments import arguments
from fairseq_lstmn.comparison.fingerprint import PACKAGE, digest

MODULES = {
    "fairseq-train": "fairseq_cli.train",
    "fairseq-eval-lm": "fairseq_cli.eval_lm",
    "fairseq-generate": "fairseq_cli.generate",
}


@dataclass(frozen=True)
class Stage:
    """A command of a run, and the file that gets all it prints."""

    name: str
    command: List[str]
    log: Path

    def line(self):
        """The command as one line for a shell, ready to be pasted."""
        return f"{shlex.join(self.command)} >> {shlex.quote(str(self.log))} 2>&1"

    def argv(self):
        """The command for this very interpreter, whatever the PATH."""
        if self.command[0] == "python":
            return [sys.executable, *self.command[1:]]
        return [sys.executable, "-m", MODULES[self.command[0]], *self.command[1:]]

    @property
    def usage_path(self):
        return self.log.with_suffix(".usage.json")

    def usage(self):
        """What its process took (see ``launcher``), {} where it was started by other means."""
        try:
            return json.loads(self.usage_path.read_text())
        except (OSError, ValueError):
            return {}

    def last_line(self):
        """The last line of its log, which says why it failed."""
        lines = logs.text(self.log).strip().splitlines()
        return lines[-1] if lines else "wrote nothing"


@dataclass(frozen=True)
class Run:
    """A training with one seed and its scoring. Equal runs have the same folder."""

    model: str
    seed: int
    trial: Dict[str, Any]
    options: Dict[str, Any]
    folder: Path
    train: Stage
    score: Stage
    scoring: scoring.Scoring

    @property
    def name(self):
        tried = [f"{option} {value}" for option, value in self.trial.items()]
        return ", ".join([self.model, f"seed {self.seed}", *tried])

    def trained(self):
        """Whether the training has come to its end."""
        best = self.folder / "checkpoint_best.pt"
        return best.exists() and logs.is_finished(logs.text(self.train.log))

    def scored(self):
        """(items, items a second) of the test set; None while they are not all there."""
        return self.scoring.read(self.score.log.parent, logs.text(self.score.log))

    def error(self):
        """Why it failed, one line; None if it did not."""
        for stage, done in ((self.train, self.trained), (self.score, self.scored)):
            if not done():
                failed = stage.usage().get("status")
                return f"{stage.name}: {stage.last_line()}" if failed else None
        return None


class Runs:
    """Makes the runs of a plan in a folder.

    Args:
        plan: the Plan.
        dest: where the runs' folders are.
        scoring: the Scoring of its metrics.
        made_by: what all its results depend on: fingerprint of the data, versions.
    """

    def __init__(self, plan, dest, scoring, made_by):
        self.plan, self.dest, self.scoring, self.made_by = plan, dest, scoring, made_by

    def run(self, model, seed, trial, options, named_files):
        """The Run of a model.

        Args:
            trial: what ``tune`` chose or tries, for its name.
            options: of fairseq-train, all but those that are set here.
            named_files: fingerprints of the files that options name.
        """
        identity = [options, seed, self.made_by, named_files]
        folder = self.dest / "runs" / f"{model}-seed{seed}-{digest(identity)}"
        options = {"user-dir": str(PACKAGE), **options}
        own = {
            "seed": seed,
            "save-dir": str(folder),
            "log-format": "json",
            "no-epoch-checkpoints": True,
        }
        train = ["fairseq-train", self.plan.data, *arguments({**options, **own})]
        scored = scoring.score_options(self.scoring, options, self.plan.score)
        scores = folder / f"score-{digest(self.plan.score)}"
        best = {"path": str(folder / "checkpoint_best.pt")}
        score = [*self.scoring.command, self.plan.data, *arguments({**scored, **best})]
        score += self.scoring.extra(scores)
        return Run(
            model=model,
            seed=seed,
            trial=trial,
            options=options,
            folder=folder,
            train=Stage("train", train, folder / "train.log"),
            score=Stage("score", score, scores / "score.log"),
            scoring=self.scoring,
        )
