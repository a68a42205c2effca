"""fairseq's commands as a user runs them, and tiny corpora for them to work on."""

import json
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PLUGIN = CHECKOUT / "fairseq_lstmn"

LETTERS = "abcdefghijklmnopqrst"

_TIME_LIMIT = 600  # seconds; only there so that a hanging command cannot hang the tests


def run(command, *arguments, cwd=None, env=None, stdin="", check=True):
    """Run ``fairseq-COMMAND arguments`` (train, eval-lm, ...) with this interpreter.

    Nothing is added to ``arguments``: pass ``"--user-dir", PLUGIN`` where the plugin is wanted.
    ``env`` adds to the environment, ``stdin`` is text. The result's ``stdout`` holds what the
    command wrote to both streams. With ``check`` a failing command fails the test, output shown.
    """
    line = [sys.executable, "-m", f"fairseq_cli.{command.replace('-', '_')}"]
    line += [str(argument) for argument in arguments]
    path = [str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        **(env or {}),
    }

    result = subprocess.run(
        line,
        cwd=cwd,
        env=environment,
        input=stdin,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_TIME_LIMIT,
    )
    if check and result.returncode != 0:
        raise AssertionError(f"{line} ended with {result.returncode}:\n{result.stdout}")
    return result


def run_ranks(command, count, *arguments, meet):
    """Run ``count`` processes of one distributed job on the CPU; returns the first one's output.

    They find each other through the file ``meet``, which must not exist yet.
    """
    together = (
        "--cpu",
        "--distributed-world-size",
        count,
        "--distributed-backend",
        "gloo",
        "--ddp-backend",
        "legacy_ddp",
        "--distributed-init-method",
        f"file://{meet}",
        "--distributed-no-spawn",
    )

    def rank(number):
        numbered = (*together, "--distributed-rank", number)
        return run(command, *arguments, *numbered).stdout

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(rank, range(count)))[0]


def logged(output, kind):
    """The entries of one ``kind`` (train_inner, train, valid, ...) under ``--log-format json``.

    fairseq writes the numbers in them as strings.
    """
    marker = f"| {kind} | "
    return [json.loads(line.split(marker, 1)[1]) for line in output.splitlines() if marker in line]


def write_sentences(path, count, words=LETTERS):
    """Write ``count`` lines of 2 to 12 ``words``, separated by spaces; the same for a file name."""
    draw = random.Random(path.name)
    lines = (draw.choices(words, k=draw.randint(2, 12)) for _ in range(count))
    path.write_text("".join(" ".join(line) + "\n" for line in lines))


def monolingual_data(directory, train=60, valid=11, test=11):
    """Binarise text for a language model; the numbers count lines. Returns its directory."""
    _write_splits(directory, "", train, valid, test)
    return _binarise(directory, "--only-source")


def parallel_data(directory, train=60, valid=11, test=11, words=LETTERS):
    """Binarise sentence pairs, languages ``in`` and ``out``. Returns their directory."""
    for language in (".in", ".out"):
        _write_splits(directory, language, train, valid, test, words)
    return _binarise(directory, "--source-lang", "in", "--target-lang", "out")


def _write_splits(directory, suffix, train, valid, test, words=LETTERS):
    for split, count in {"train": train, "valid": valid, "test": test}.items():
        write_sentences(directory / f"{split}{suffix}", count, words)


def _binarise(directory, *options):
    texts = [f"--{split}pref={directory / split}" for split in ("train", "valid", "test")]
    run("preprocess", *texts, "--destdir", directory / "bin", *options)
    return directory / "bin"
