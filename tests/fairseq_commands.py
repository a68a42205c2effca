"""fairseq's commands as a user runs them, and tiny corpora for them to work on."""

import json
import multiprocessing
import os
import random
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

CHECKOUT = Path(__file__).resolve().parent.parent
PLUGIN = CHECKOUT / "fairseq_lstmn"

LETTERS = "abcdefghijklmnopqrst"

_TIME_LIMIT = 600  # seconds; only there so that a hanging command cannot hang the tests

# Importing fairseq takes longer than most commands do: one process imports it, and every command
# is a fork of that one. torch's optimizers import the last module.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["fairseq_cli.train", "torch._dynamo"])


def run(command, *arguments, cwd=None, env=None, stdin="", check=True, before=None):
    """Run ``fairseq-COMMAND arguments`` (train, eval-lm, ...) in a process of its own.

    Nothing is added to ``arguments``: pass ``"--user-dir", PLUGIN`` where the plugin is wanted.
    ``env`` adds to the environment, ``stdin`` is text, ``before`` is called in the process first.
    The result's ``stdout`` holds what the command wrote to both streams. With ``check`` a failing
    command fails the test, output shown.
    """
    line = [f"fairseq-{command}", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    with TemporaryDirectory() as folder:
        streams = Path(folder) / "stdin", Path(folder) / "output"
        streams[0].write_text(stdin)
        streams[1].touch()
        process = _processes.Process(
            target=_run, args=(line, cwd or Path.cwd(), environment, *streams, before)
        )
        process.start()
        process.join(_TIME_LIMIT)
        if hanging := process.is_alive():
            process.kill()
            process.join()
        output = streams[1].read_text()
    if hanging or (check and process.exitcode != 0):
        raise AssertionError(f"{line} ended with {process.exitcode}:\n{output}")
    return CompletedProcess(line, process.exitcode, output)


def _run(line, cwd, environment, stdin, output, before):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    written = os.open(output, os.O_WRONLY)
    for stream in sys.stdout, sys.stderr:
        os.dup2(written, stream.fileno())
        stream.reconfigure(line_buffering=True)  # in order
    sys.stdin = open(stdin)
    sys.argv = line
    multiprocessing.set_start_method(None, force=True)  # the default, as in any program
    command = line[0].removeprefix("fairseq-").replace("-", "_")
    if command == "hydra_train" and sys.version_info >= (3, 14):  # as INSTALL.md has it
        import_module(PLUGIN.name)
    if before is not None:
        before()
    try:
        import_module(f"fairseq_cli.{command}").cli_main()
    except Exception:  # told as any program tells it, not as multiprocessing does
        sys.excepthook(*sys.exc_info())
        sys.exit(1)


def run_together(commands):
    """Run ``commands``, each (COMMAND, *arguments), side by side; returns their outputs."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: run(*command).stdout, commands))


def several_processes(count, save_dir, *arguments):
    """The commands of a distributed training on the CPU, whose processes meet through a new file.

    They save in ``save_dir``, which is made.
    """
    save_dir.mkdir(exist_ok=True)
    meet = save_dir / f"meet-{uuid.uuid4()}"
    together = (
        "--cpu", "--distributed-world-size", count, "--distributed-backend", "gloo",
        "--distributed-no-spawn", "--distributed-init-method", f"file://{meet}",
        "--save-dir", save_dir,
    )  # fmt: skip
    return [("train", *arguments, *together, "--distributed-rank", rank) for rank in range(count)]


def two_processes(save_dir, *arguments):
    """``several_processes``, which are two."""
    return several_processes(2, save_dir, *arguments)


def logged(output, kind):
    """The entries of one ``kind`` (train_inner, train, valid, ...) under ``--log-format json``.

    fairseq writes the numbers in them as strings.
    """
    marker = f"| {kind} | "
    return [json.loads(line.split(marker, 1)[1]) for line in output.splitlines() if marker in line]


def assert_resuming_repeats(train, folder):
    """Three epochs, resumed after the first and amid the second, have the losses that they had.

    Args:
        train: called with the folder to save in and options; returns what is printed.
    """
    options = "--dropout", 0, "--max-epoch", 3, "--save-interval-updates", 3
    whole = logged(train(folder, *options), "train_inner")
    [amid, *_] = folder.glob("checkpoint_2_*.pt")
    for restart, done in (
        (folder / "checkpoint1.pt", len(whole) // 3),
        (amid, int(amid.stem.rpartition("_")[2])),
    ):
        again = train(folder / "again", *options, "--restore-file", restart)
        resumed = logged(again, "train_inner")
        assert resumed and len(resumed) == len(whole) - done
        assert [e["loss"] for e in resumed] == [e["loss"] for e in whole[done:]]


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
