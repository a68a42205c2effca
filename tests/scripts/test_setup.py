"""scripts/setup.sh with stand-ins for Python, pip and the compiler on an otherwise bare PATH."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = ("bash", "cat", "chmod", "dirname", "mkdir", "rm", "sed", "sha256sum", "uname")
COPIED = ("scripts/setup.sh", "setup.cfg", "constraints")


class Machine:
    """A checkout of its own and a PATH of its own."""

    def __init__(self, folder):
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        (self.checkout / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for name in COPIED:
            copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
            copy(CHECKOUT / name, self.checkout / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))

    def add_command(self, name, body):
        command = self.bin / name
        command.unlink(missing_ok=True)  # a tool's link
        command.write_text(f"#!{shutil.which('sh')}\n{body}\n")
        command.chmod(0o755)

    def add_python(self, name, version, venv="exit 3", headers=True, base=sys.prefix):
        """A Python of that version: ``python -c CODE``; ``python -m venv`` does ``venv``.

        With ``base``, the folder of another Python, it is one of an environment.
        """
        fake = f"import sys, sysconfig; sys.version_info = {version}; sys.base_prefix = '{base}'; "
        fake += "" if headers else "sysconfig.get_path = lambda name: '/nowhere'; "
        fake += "exec(sys.argv[2])"
        body = f'[ "$1" = -m ] && {{ {venv}; }}\nexec {sys.executable} -c "{fake}" "$@"'
        self.add_command(name, body)

    def add_good_python(self, name, version, headers=True):
        """One whose environments note every pip call, behind what PYTHONPATH was."""
        note = f"#!{shutil.which('sh')}\\necho \\$PYTHONPATH \\$* >> $3/calls"
        venv = f'mkdir .venv/bin; printf "{note}" > .venv/bin/python; chmod +x .venv/bin/python'
        self.add_python(name, version, f"{venv}; exit 0", headers)

    def set_up(self, **environment):
        return subprocess.run(
            [shutil.which("bash"), self.checkout / "scripts" / "setup.sh"],
            env={"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), **environment},
            cwd="/",
            capture_output=True,
            text=True,
        )

    @property
    def venv(self):
        return self.checkout / ".venv"

    def calls(self):
        """pip's arguments, a string a call."""
        return (self.venv / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def good_machine(machine):
    """One with a compiler and a Python 3.11."""
    machine.add_good_python("python3.11", (3, 11, 7))
    machine.add_command("c++", "exit 0")
    return machine


def taken(result):
    """The Python that a set-up says it takes."""
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "1/3" in line]
    return line.partition(", by ")[2]


def refusal(result):
    """The one line in which a set-up says what is wrong."""
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 15, 0)])
def test_other_python_is_refused(machine, version):
    machine.add_python("python3", version)
    assert "Python 3.10 to 3.14 is wanted" in refusal(machine.set_up())
    assert not machine.venv.exists()


@pytest.mark.parametrize("minor", [10, 11, 12, 13, 14])
def test_the_python_that_is_there_is_taken_with_its_constraints(machine, minor):
    machine.add_command("c++", "exit 0")
    machine.add_good_python("python3", (3, minor, 1))
    result = machine.set_up()
    assert taken(result) == f"{machine.bin}/python3 (Python 3.{minor})"
    assert ("nobody has run the tests on it" in result.stderr) == (minor == 14)
    fairseq = "fairseq==0.12.2" if minor == 10 else "fairseq-fixed==0.12.3.1"
    _, built, installed = machine.calls()
    assert built.endswith(f" {fairseq}")
    assert installed.endswith("--editable .[test,check,triton]")


def test_the_best_supported_of_several_is_taken(good_machine):
    for minor in (9, 10, 12, 13, 14, 15):
        good_machine.add_python(f"python3.{minor}", (3, minor, 1))
    good_machine.add_python("python3", (3, 12, 1))
    assert taken(good_machine.set_up()) == f"{good_machine.bin}/python3.11 (Python 3.11)"


@pytest.mark.parametrize("named", [{}, {"PYTHON": "python3.11"}])
def test_an_environment_gives_its_base_as_it_may_be_the_one_to_be_replaced(machine, named):
    (machine.bin / "bin").mkdir()  # the base's, not on the PATH
    machine.add_command("c++", "exit 0")
    machine.add_good_python("bin/python3.11", (3, 11, 7))
    machine.add_python("python3.11", (3, 11, 7), base=machine.bin)
    assert taken(machine.set_up(**named)) == f"{machine.bin}/bin/python3.11 (Python 3.11)"


def test_a_name_that_lies_is_passed_over(good_machine):
    """As pyenv's do of versions that are installed but not chosen."""
    good_machine.add_command(
        "python3.11", "echo pyenv: python3.11: command not found >&2; exit 127"
    )
    good_machine.add_good_python("python3.12", (3, 12, 1))
    assert taken(good_machine.set_up()) == f"{good_machine.bin}/python3.12 (Python 3.12)"


def test_python_names_the_one_to_take(good_machine):
    good_machine.add_good_python("mine", (3, 13, 1))
    assert taken(good_machine.set_up(PYTHON="mine")) == f"{good_machine.bin}/mine (Python 3.13)"


@pytest.mark.parametrize("name, wrong", [("old", "is Python 3.9"), ("none", "cannot be run")])
def test_a_named_python_that_will_not_do_is_refused(good_machine, name, wrong):
    good_machine.add_python("old", (3, 9, 18))
    assert f"PYTHON={name}: {wrong}" in refusal(good_machine.set_up(PYTHON=name))


def test_uv_fetches_a_python_where_there_is_none(machine):
    machine.add_command("c++", "exit 0")
    machine.add_good_python("hidden", (3, 11, 7))
    steps = f'[ "$2" = find ] && echo {machine.bin}/hidden; echo $* >> {machine.checkout}/uv'
    machine.add_command("uv", steps)
    assert taken(machine.set_up()) == f"{machine.bin}/hidden (Python 3.11)"
    asked = (machine.checkout / "uv").read_text().splitlines()
    assert [line.split()[:2] for line in asked] == [["python", "install"], ["python", "find"]]


def test_missing_compiler_is_one_sentence(machine):
    machine.add_python("python3.11", (3, 11, 7))
    assert "C++ compiler is wanted" in refusal(machine.set_up())
    assert not machine.venv.exists()


@pytest.mark.parametrize(
    "minor, system, wanted", [(11, "x86_64", True), (12, "x86_64", False), (12, "aarch64", True)]
)
def test_headers_are_wanted_where_fairseq_is_compiled(machine, minor, system, wanted):
    machine.add_command("c++", "exit 0")
    machine.add_command("uname", f"echo Linux {system}")
    machine.add_good_python("python", (3, minor, 1), headers=False)
    result = machine.set_up(PYTHON="python")
    if wanted:
        assert "lacks its C headers" in refusal(result)
    else:
        assert "Python 3.12" in taken(result)


def test_finished_environment_is_used_again(good_machine):
    assert good_machine.set_up().returncode == 0
    calls = good_machine.calls()
    good_machine.add_good_python("python3.13", (3, 13, 1))
    for environment in ({}, {"PYTHON": "python3.11"}):
        again = good_machine.set_up(**environment)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert good_machine.calls() == calls


def test_environment_of_another_python_is_made_anew_only_when_asked(good_machine):
    good_machine.add_good_python("python3.13", (3, 13, 1))
    assert good_machine.set_up().returncode == 0
    assert "Python 3.13" in taken(good_machine.set_up(PYTHON="python3.13"))
    assert good_machine.set_up().stderr == ""


def test_fairseq_alone_is_built_without_torch_and_leaves_nothing_in_pips_cache(good_machine):
    assert good_machine.set_up().returncode == 0
    stub = str(good_machine.checkout / "scripts" / "setup" / "without_torch")
    assert [call.startswith(stub) for call in good_machine.calls()] == [False, True, False]
    assert "--no-deps --no-cache-dir" in good_machine.calls()[1]
    assert all("install --no-build-isolation" in call for call in good_machine.calls())


@pytest.mark.parametrize("name", ["constraints/python3.11.txt", "setup.cfg"])
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
    assert ".venv is not of this script's making" in refusal(good_machine.set_up())
    assert (good_machine.venv / "mine").exists()
