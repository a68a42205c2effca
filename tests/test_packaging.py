"""What a wheel of the project holds, and that its requirements are the tested set."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[1]
PYTHONS = "3.10", "3.11", "3.12", "3.13"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources, with a YAML file put among the modules."""
    sources = tmp_path_factory.mktemp("sources")
    for name in ("fairseq_lstmn", "hydra_plugins", "tests"):
        shutil.copytree(CHECKOUT / name, sources / name)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, sources)
    (sources / "fairseq_lstmn" / "models" / "preset.yaml").write_text("a: 1\n")
    wheels = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--wheel-dir", wheels, sources], check=True)
    (path,) = wheels.iterdir()
    return zipfile.ZipFile(path)


def test_wheel_holds_the_plugin_and_its_hydra_plugin(wheel):
    names = set(wheel.namelist())
    assert {"fairseq_lstmn/cli/doctor.py", "hydra_plugins/fairseq_lstmn/__init__.py"} <= names
    assert "fairseq_lstmn/models/preset.yaml" in names
    assert {f"fairseq_lstmn/ops/cpp/csrc/{name}" for name in ("kernels.cpp", "read.h")} <= names
    page = "fairseq_lstmn/attention/outputs/page"
    assert {f"{page}/{name}" for name in ("page.html.jinja", "style.css", "main.js")} <= names
    # one such file would hide every other distribution's hydra plugins
    assert "hydra_plugins/__init__.py" not in names
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"fairseq_lstmn", "hydra_plugins"}
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_installs_the_command(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "fairseq-lstmn = fairseq_lstmn.cli:main" in wheel.read(name).decode()


@pytest.mark.parametrize(
    "python, fairseq", [("3.10", "fairseq==0.12.2"), ("3.11", "fairseq-fixed==0.12.3.1")]
)
def test_fairseq_by_python_version(python, fairseq):
    chosen = [r for r in requirements(python) if r.name.startswith("fairseq")]
    assert [f"{r.name}{r.specifier}" for r in chosen] == [fairseq]


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
