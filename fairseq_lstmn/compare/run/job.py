"""What a job of a cluster does: the launcher's work, on the machine that it has come to."""

import os
import signal
from dataclasses import dataclass

from submitit.helpers import DelayedSubmission

from fairseq_lstmn.compare.run.child import Share
from fairseq_lstmn.compare.run.launcher import Launcher, shares
from fairseq_lstmn.compare.run.runs import Run


@dataclass
class Job:
    """Runs to be brought to their end; started again, it goes on from their checkpoints.

    Attributes:
        shares: of the machine, as the launcher has them; None for one run, which has all that SLURM
            grants the job.
        score: whether they are scored when they are trained.
    """

    runs: list[Run]
    shares: list[Share] | None
    score: bool

    def __call__(self) -> None:
        # SLURM sends it to all processes of a job that has to make room, and kills them later: what
        # is left of the time is theirs. It starts the job again if that does not end by itself
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        environments = shares(1, [], granted(), os.environ) if self.shares is None else self.shares
        Launcher(environments, lambda children: None).launch(self.runs, self.score)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit has SLURM start again when the time of a job is up."""
        return DelayedSubmission(self)


def granted() -> int:
    """The cores that SLURM grants the job; it names none where none were asked for."""
    return int(os.environ.get("SLURM_CPUS_PER_TASK", 1))
