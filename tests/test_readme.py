"""The commands of the README and of the benchmark's page are run, and the page of plans has one.

As they stand there, on a tiny text and for a few updates.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fairseq_lstmn.cli.compare import EXAMPLE
from tests.fairseq_commands import CHECKOUT, monolingual_data
from tests.pages import blocks

# what keeps a command short; the last value of an option counts
SHORTER = {
    "fairseq-train": "--max-update 2",
    "python scripts/bench_recurrence.py": "--batch 2 --input 4 --hidden 4 --steps 3 --rounds 2",
}
# what makes its plan short
SHORT_PLAN = "train.max-update=2", "seeds=[1]", "tune.dropout=[0.1]"


def commands():
    """The shell commands of the pages, in order; the two that set up have tests of their own."""
    shown = blocks("README.md", "bash") + blocks("scripts/BENCHMARKS.md", "bash")
    lines = "".join(shown).replace("\\\n", " ").splitlines()
    lines = [line for line in lines if line.split()[0] != "bash"]
    # the first of those that differ in options alone, which are sizes
    return list({line.partition(" --")[0]: line for line in reversed(lines)}.values())[::-1]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder that looks like the checkout after the quickstart, with another text."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fairseq_lstmn", "scripts"):
        (folder / name).symlink_to(CHECKOUT / name)
    plan = OmegaConf.merge(OmegaConf.load(EXAMPLE), OmegaConf.from_dotlist(list(SHORT_PLAN)))
    OmegaConf.save(plan, folder / "plan.yaml")
    (folder / "quickstart").mkdir()
    text = tmp_path_factory.mktemp("text")
    (folder / "quickstart" / "data-bin").symlink_to(monolingual_data(text))
    return folder


@pytest.mark.parametrize("command", commands(), ids=lambda command: " ".join(command.split()[:2]))
def test_command_runs(checkout, command):
    for start, options in SHORTER.items():
        if command.startswith(start):
            command = f"{command} {options}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", "-c", command], cwd=checkout, env=environment, check=True)


def test_the_plan_is_the_one_that_help_shows():
    assert blocks("examples/COMPARING.md", "yaml") == [EXAMPLE.read_text(encoding="utf-8")]
