"""What the source distribution and the wheel hold, and that requirements are the tested set."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fairseq_lstmn

CHECKOUT = Path(__file__).resolve().parents[1]
TESTED = "3.10", "3.11", "3.12", "3.13"
PYTHONS = *TESTED, "3.14"  # all that setup.sh takes
WORKFLOWS = CHECKOUT / ".github" / "workflows"
PACKAGES = "fairseq_lstmn", "hydra_plugins"
FOLDERS = *PACKAGES, "constraints", "examples", "scripts", "tests"
FILES = (
    *("setup.cfg", "pyproject.toml", "MANIFEST.in", "LICENSE", "CITATION.cff"),
    *(path.name for path in CHECKOUT.glob("*.md")),
)
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def run(*command, cwd):
    """Run ``command`` where this checkout is not on Python's path; what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of the sources, with a YAML file put among the modules."""
    folder = tmp_path_factory.mktemp("sources")
    for name in FOLDERS:
        shutil.copytree(CHECKOUT / name, folder / name)
    for name in FILES:
        shutil.copy(CHECKOUT / name, folder)
    (folder / "fairseq_lstmn" / "models" / "preset.yaml").write_text("a: 1\n")
    return folder


def files_of(sources, folders):
    """The files under ``folders``, as paths, save what Python leaves there."""
    found = [path for name in folders for path in (sources / name).rglob("*") if path.is_file()]
    paths = {path.relative_to(sources).as_posix() for path in found}
    return {path for path in paths if "__pycache__" not in path}


@pytest.fixture(scope="module")
def sdist(sources, tmp_path_factory):
    """The path of the source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    built = run(sys.executable, "-c", BUILD, str(folder), cwd=sources)
    assert built.returncode == 0, built.stderr
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The path of the wheel, built from the source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"
    built = run(*pip, "--wheel-dir", str(folder), str(sdist), cwd=folder)
    assert built.returncode == 0, built.stderr
    (path,) = folder.iterdir()
    return path


def test_sdist_holds_the_sources(sources, sdist):
    top = f"fairseq_lstmn-{fairseq_lstmn.__version__}"
    assert sdist.name == f"{top}.tar.gz"
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files_of(sources, FOLDERS) | set(FILES) <= names
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_holds_the_plugin_and_its_hydra_plugin(sources, wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"fairseq_lstmn/models/preset.yaml", "fairseq_lstmn/py.typed"} <= names
    # one such file would hide every other distribution's hydra plugins
    assert "hydra_plugins/__init__.py" not in names
    assert {name for name in names if ".dist-info/" not in name} == files_of(sources, PACKAGES)


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    newest = re.search(
        r"^## (\d\S+)", (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M
    )
    assert citation["version"] == newest[1] == fairseq_lstmn.__version__


def test_wheel_works_in_an_empty_environment(wheel, tmp_path):
    """Without torch and fairseq, `doctor` says that they are wanted."""
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", str(environment), cwd=tmp_path)
    pip = sys.executable, "-m", "pip", "--python", str(environment), "install"
    installed = run(*pip, "--no-deps", "--no-index", str(wheel), cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr

    command = str(environment / "bin" / "fairseq-lstmn")
    version = run(command, "--version", cwd=tmp_path)
    assert version.stdout == f"fairseq-lstmn {fairseq_lstmn.__version__}\n"
    plugin = Path(run(command, "path", cwd=tmp_path).stdout.strip())
    assert environment in plugin.parents and (plugin / "__init__.py").is_file()
    doctor = run(command, "doctor", cwd=tmp_path)
    assert doctor.returncode == 1
    lines = doctor.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    assert "error: torch is not installed: pip install torch" in lines


@pytest.mark.parametrize(
    "python, fairseq", [("3.10", "fairseq==0.12.2"), ("3.11", "fairseq-fixed==0.12.3.1")]
)
def test_fairseq_by_python_version(python, fairseq):
    chosen = [r for r in requirements(python) if r.name.startswith("fairseq")]
    assert [f"{r.name}{r.specifier}" for r in chosen] == [fairseq]


def test_every_python_has_constraints():
    files = (CHECKOUT / "constraints").iterdir()
    assert sorted(path.name for path in files) == [f"python{python}.txt" for python in PYTHONS]
    taken = re.search(r"^supported=\((.*)\)", (CHECKOUT / "scripts" / "setup.sh").read_text(), re.M)
    assert {*taken[1].split()} == {*PYTHONS}


def test_pythons_are_tested_in_public():
    """At every change those that the tests pass on, weekly some with the newest of everything."""
    workflow = yaml.safe_load((WORKFLOWS / "tests.yml").read_text())
    assert tuple(workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]) == TESTED
    newest = yaml.safe_load((WORKFLOWS / "newest.yml").read_text())
    assert newest[True]["schedule"]  # YAML 1.1 reads "on" so
    job = newest["jobs"]["tests"]
    assert set(job["strategy"]["matrix"]["python"]) <= {*PYTHONS}
    commands = [step["run"] for step in job["steps"] if "run" in step]
    upgrade = commands.index("bash scripts/constraints.sh --upgrade")
    assert upgrade < commands.index("bash scripts/test.sh")


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_every_requirement_within_its_bounds(python):
    lines = (CHECKOUT / "constraints" / f"python{python}.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for requirement in requirements(python):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def requirements(python):
    """What setup.cfg requires, extras included, on a ``python`` version."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg")
    extras = config["options.extras_require"]
    lines = config["options"]["install_requires"] + extras["test"] + extras["check"]
    all_of_them = map(Requirement, filter(None, lines.splitlines()))
    environment = {"python_version": python}
    return [r for r in all_of_them if r.marker is None or r.marker.evaluate(environment)]
