"""Many short fairseq commands after a single import of fairseq, which takes longer than they do.

As a program, ``python -m tests.forked_commands JOBS``: runs the jobs of a JSON file one after
another, the commands of a job side by side, each in a fork of this process with a log of its own.
"""

import json
import os
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path

from tests.fairseq_commands import CHECKOUT

_TIME_LIMIT = 600  # seconds for all jobs; only there so that a hanging one cannot hang the tests


def run_forked(folder, jobs):
    """Run ``jobs``, {name: commands}, without a GPU; returns {name: the commands' outputs}.

    A command is a list, as in ``fairseq_commands.run``: (COMMAND, *arguments). ``folder`` takes
    the logs. A failing command fails the test, output shown.
    """
    written = {
        name: [
            [str(folder / f"{name}.{number}.log"), *map(str, command)]
            for number, command in enumerate(commands)
        ]
        for name, commands in jobs.items()
    }
    path = folder / "jobs.json"
    path.write_text(json.dumps(list(written.values())))
    path_of_python = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    result = subprocess.run(
        [sys.executable, "-m", "tests.forked_commands", path],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(path_of_python),
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_TIME_LIMIT,
    )
    if result.returncode:
        raise AssertionError(result.stdout)
    return {
        name: [Path(log).read_text() for log, *_ in commands] for name, commands in written.items()
    }


# torch's optimizers import the last one, which takes longer than all else
_IMPORTED_ONCE = "fairseq_cli.train", "fairseq_lstmn", "torch._dynamo"


def main(path):
    for module in _IMPORTED_ONCE:
        import_module(module)
    for job in json.loads(Path(path).read_text()):
        started = {start(*command): command for command in job}
        for _ in started:
            pid, status = os.wait()
            if status:
                log, *command = started[pid]
                sys.exit(f"{command} ended with status {status}:\n{Path(log).read_text()}")


def start(log, command, *arguments):
    """The process id of a fork that runs the command."""
    pid = os.fork()
    if pid:
        return pid
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    sys.argv = [f"fairseq-{command}", *arguments]
    failed = True
    try:
        import_module(f"fairseq_cli.{command}").cli_main()
        failed = False
    except BaseException:  # the log's reader wants to see any
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(failed)  # not as a program ends, which loader threads of fairseq's may abort


if __name__ == "__main__":
    main(*sys.argv[1:])
