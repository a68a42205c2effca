"""Train, score and compare architectures fairly, by fairseq's own commands.

PLAN is a YAML file, any key of which may be overridden by KEY=VALUE. Runs that are finished are
taken as they are, interrupted ones go on where they were. DEST gets report.html, report.md,
results.json, table.tex, curves.svg, and runs/ with the logs and checkpoints of every run. The
exit status is 1 if a run failed or the budgets were not equal.

With --submit slurm every run is a job of a cluster, with the options of sbatch that the plan has
under slurm (slurm.partition=gpu). An interrupt leaves the jobs at work; the same command waits for
them and goes on.
"""

import shlex
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import fairseq_lstmn
from fairseq_lstmn.errors import InputError

if TYPE_CHECKING:
    from fairseq_lstmn.compare.report.schema import ModelEntry

EXAMPLE = Path(fairseq_lstmn.__file__).parent / "compare" / "example.yaml"


def add_arguments(parser: ArgumentParser) -> None:
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = f"a whole plan:\n\n{EXAMPLE.read_text(encoding='utf-8')}"
    parser.add_argument("plan", metavar="PLAN", help="YAML file")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="e.g. train.lr=0.001")
    parser.add_argument("--dest", metavar="DIR", type=Path, required=True, help="folder for it all")
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        help="runs side by side (default: one for each GPU, or 1; in SLURM no limit)",
    )
    parser.add_argument(
        "--submit",
        choices=("slurm", "local"),
        help="have it done by jobs of SLURM, or by one in the background of this machine",
    )
    parser.add_argument(
        "--detach", action="store_true", help="do not wait for the jobs; say what to call later"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--dry-run", action="store_true", help="only print the commands that would run"
    )
    instead.add_argument(
        "--report", action="store_true", help="only make the report, of the runs that are there"
    )


def run(args: Namespace) -> int:
    if args.jobs is not None and args.jobs < 1:
        raise InputError(f"--jobs {args.jobs}: must be 1 or more")
    if args.detach and not args.submit:
        raise InputError("--detach: only jobs can be left to themselves (--submit)")
    for override in args.overrides:
        if "=" not in override:
            raise InputError(f"{override}: must be KEY=VALUE")
    # here, so that `fairseq-lstmn doctor` can say that torch or fairseq is broken
    from fairseq_lstmn.compare import report
    from fairseq_lstmn.compare.plan import plan
    from fairseq_lstmn.compare.plan.experiment import Experiment
    from fairseq_lstmn.compare.run import execution
    from fairseq_lstmn.compare.run.runs import Runs

    try:
        runs = Runs(Experiment(plan.read(args.plan, args.overrides)), args.dest)
        if args.dry_run:
            print(*execution.commands(runs), sep="\n")
            return 0
        if args.report:
            results = execution.write_report(runs)
        else:
            launcher = (
                execution.submitted(runs, args.submit, args.jobs, args.detach)
                if args.submit
                else execution.processes(runs, args.jobs)
            )
            results = execution.carry_out(runs, launcher)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    if args.detach and not all(has_ended(model, results["seeds"]) for model in results["models"]):
        print(
            f"the jobs go on by themselves; later, for what follows and the report:\n{line(args)}"
        )
        return 0
    print(report.summary(results))
    print(f"\n{args.dest / 'report.html'}")
    return 1 if results["errors"] else 0


def has_ended(model: "ModelEntry", seeds: Sequence[int]) -> bool:
    """Whether no run of a model is missing, with any of the seeds."""
    ended = [run for run in model["runs"] if run["state"] != "missing"]
    return len(ended) == len(seeds)


def line(args: Namespace) -> str:
    """The command as one line for a shell."""
    jobs = [] if args.jobs is None else ["--jobs", str(args.jobs)]
    words = [args.plan, *args.overrides, "--dest", str(args.dest), *jobs]
    return shlex.join(["fairseq-lstmn", "compare", *words, "--submit", args.submit, "--detach"])
