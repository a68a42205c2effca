"""Train, score and compare architectures fairly, by fairseq's own commands.

PLAN is a YAML file, any key of which may be overridden by KEY=VALUE. Runs that are finished are
taken as they are, interrupted ones go on where they were. DEST gets report.html, report.md,
results.json, table.tex, curves.svg, and runs/ with the logs and checkpoints of every run. The
exit status is 1 if a run failed or the budgets were not equal.
"""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

import fairseq_lstmn
from fairseq_lstmn.errors import InputError

EXAMPLE = Path(fairseq_lstmn.__file__).parent / "compare" / "example.yaml"


def add_arguments(parser: ArgumentParser) -> None:
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = f"a whole plan:\n\n{EXAMPLE.read_text(encoding='utf-8')}"
    parser.add_argument("plan", metavar="PLAN", help="YAML file")
    parser.add_argument("overrides", metavar="KEY=VALUE", nargs="*", help="e.g. train.lr=0.001")
    parser.add_argument("--dest", metavar="DIR", type=Path, required=True, help="folder for it all")
    parser.add_argument(
        "--jobs", metavar="N", type=int, help="runs side by side (default: one for each GPU, or 1)"
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
            results = execution.carry_out(runs, args.jobs)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(report.summary(results))
    print(f"\n{args.dest / 'report.html'}")
    return 1 if results["errors"] else 0
