"""scripts/setup.sh with stand-ins for Python, pip and the compiler on an otherwise bare PATH."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "chmod", "dirname", "mkdir", "rm", "sed", "sha256sum")


class Machine:
    """A checkout of its own and a PATH of its own."""

    def __init__(self, folder):
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        (self.checkout / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in ("scripts/setup.sh", "constraints.txt", "setup.cfg"):
            shutil.copy(CHECKOUT / name, self.checkout / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def add_command(self, name, body):
        command = self.bin / name
        command.write_text(f"#!{shutil.which('sh')}\n{body}\n")
        command.chmod(0o755)

    def add_python(self, name, version, venv="exit 3"):
        """A Python of that version: ``python -c CODE``; ``python -m venv`` does ``venv``."""
        fake = f"import sys; sys.version_info = {version}; exec(sys.argv[2])"
        body = f'[ "$1" = -m ] && {{ {venv}; }}\nexec {sys.executable} -c "{fake}" "$@"'
        self.add_command(name, body)

    def set_up(self):
        return subprocess.run(
            [shutil.which("bash"), self.checkout / "scripts" / "setup.sh"],
            env={"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/")},
            cwd="/",
            capture_output=True,
            text=True,
        )

    @property
    def venv(self):
        return self.checkout / ".venv"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def good_machine(machine):
    """One with a compiler and a Python 3.11 whose environments note every pip call."""
    pip = f'echo "#!{shutil.which("sh")}\necho \\$* >> $3/calls" > .venv/bin/python'
    venv = f"mkdir .venv/bin; {pip}; chmod +x .venv/bin/python; exit 0"
    machine.add_python("python3.11", (3, 11, 7), venv)
    machine.add_command("c++", "exit 0")
    return machine


def test_other_python_is_refused(machine):
    machine.add_python("python3", (3, 9, 18))
    result = machine.set_up()
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "Python 3.11 is wanted" in result.stderr
    assert not machine.venv.exists()


def test_other_python_is_passed_over_for_a_python_3_11(good_machine):
    good_machine.add_python("python3", (3, 9, 18))
    assert good_machine.set_up().returncode == 0


def test_python3_is_taken_if_it_is_3_11(good_machine):
    (good_machine.bin / "python3.11").rename(good_machine.bin / "python3")
    assert good_machine.set_up().returncode == 0


def test_missing_compiler_is_one_sentence(machine):
    machine.add_python("python3.11", (3, 11, 7))
    result = machine.set_up()
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "C++ compiler is wanted" in result.stderr
    assert not machine.venv.exists()


def test_finished_environment_is_used_again(good_machine):
    assert good_machine.set_up().returncode == 0
    calls = (good_machine.venv / "calls").read_text()
    assert "install --no-build-isolation" in calls and "--editable .[test,triton]" in calls
    again = good_machine.set_up()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (good_machine.venv / "calls").read_text() == calls


@pytest.mark.parametrize("name", ["constraints.txt", "setup.cfg"])
def test_outdated_environment_is_made_anew(name, good_machine):
    good_machine.set_up()
    (good_machine.venv / "left-over").touch()
    with (good_machine.checkout / name).open("a") as file:
        file.write("# changed\n")
    assert good_machine.set_up().returncode == 0
    assert not (good_machine.venv / "left-over").exists()


def test_unfinished_environment_is_not_taken_for_finished(good_machine):
    good_machine.add_python("python3.11", (3, 11, 7), venv="exit 3")
    assert good_machine.set_up().returncode == 3
    assert good_machine.venv.is_dir()
    assert good_machine.set_up().returncode == 3


def test_environment_of_somebody_else_is_left_alone(good_machine):
    good_machine.venv.mkdir()
    (good_machine.venv / "mine").touch()
    result = good_machine.set_up()
    assert result.returncode == 1
    assert ".venv is not of this script's making" in result.stderr
    assert (good_machine.venv / "mine").exists()
