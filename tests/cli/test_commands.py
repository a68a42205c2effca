import subprocess
import sys
from pathlib import Path

import pytest

import fairseq_lstmn
from fairseq_lstmn.cli import COMMANDS, compare, main, path, predict
from fairseq_lstmn.errors import InputError


def test_path_prints_what_user_dir_takes(capsys):
    assert main(["path"]) == 0
    printed = capsys.readouterr().out
    assert printed == f"{Path(fairseq_lstmn.__file__).parent}\n"
    assert (Path(printed.strip()) / "models").is_dir()


def test_version(capsys):
    with pytest.raises(SystemExit, match="^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"fairseq-lstmn {fairseq_lstmn.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit, match="^0$"):
        main([command, "--help"])
    assert f"usage: fairseq-lstmn {command}" in capsys.readouterr().out


def test_unknown_command_names_the_known_ones(capsys):
    with pytest.raises(SystemExit, match="^2$"):
        main(["pth"])
    error = capsys.readouterr().err
    assert all(command in error for command in ("pth", *COMMANDS))


def test_bad_input_ends_in_one_line(monkeypatch):
    def run(args):
        raise InputError("--memory-span must be 0 or more, got -1")

    monkeypatch.setattr(path, "run", run)
    with pytest.raises(SystemExit) as exit:
        main(["path"])
    assert exit.value.code == "error: --memory-span must be 0 or more, got -1"


def test_overrides_may_stand_anywhere(monkeypatch):
    seen = []
    monkeypatch.setattr(compare, "run", lambda args: seen.append(args.overrides) or 0)
    for line in ("plan.yaml a=1 --dest d b=2", "--dest d plan.yaml a=1 --jobs 2 b=2"):
        assert main(["compare", *line.split()]) == 0
    assert seen == [["a=1", "b=2"]] * 2


@pytest.mark.parametrize("line", ["predict m.pt {} --cpu", "predict m.pt --cpu {}"])
def test_input_may_stand_behind_options(line, monkeypatch):
    seen = []
    monkeypatch.setattr(predict, "run", lambda args: seen.append(args.input) or 0)
    assert main(line.format("text").split()) == 0
    assert main(line.format("").split()) == 0
    assert seen == ["text", None]


def test_what_no_command_knows_is_refused(capsys):
    for line in ("compare plan.yaml --dest d --jibs=2", "path a=1", "predict m.pt a --cpu b"):
        with pytest.raises(SystemExit, match="^2$"):
            main(line.split())
        assert f"unrecognized arguments: {line.split()[-1]}" in capsys.readouterr().err


@pytest.mark.parametrize("line", [["--version"], ["--help"], ["path"], ["predict", "--help"]])
def test_nothing_heavy_is_imported_before_it_is_needed(line):
    """As the installed command starts, which the name of the program says."""
    code = (
        "import sys; sys.argv[0] = '/usr/bin/fairseq-lstmn'\n"
        "from fairseq_lstmn.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print([name for name in ('torch', 'fairseq', 'numpy') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code, *line], capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "[]", ended.stderr
