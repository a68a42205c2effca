"""The README's commands and plan, as they stand there, on a tiny text and for a few updates."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fairseq_lstmn.cli.compare import EXAMPLE
from tests.fairseq_commands import CHECKOUT, monolingual_data

# what keeps a command short; the last value of an option counts
SHORTER = {
    "fairseq-train": "--max-update 2",
    "python scripts/bench_recurrence.py": "--batch 2 --input 4 --hidden 4 --steps 3 --rounds 2",
}
# what makes its plan short
SHORT_PLAN = "train.max-update=2", "seeds=[1]", "tune.dropout=[0.1]"


def blocks(language):
    """The README's blocks of code in ``language``, in order."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands():
    """The shell commands of the README, in order."""
    return [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]


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
def test_command_of_the_readme(checkout, command):
    for start, options in SHORTER.items():
        if command.startswith(start):
            command = f"{command} {options}"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", "-c", command], cwd=checkout, env=environment, check=True)


def test_the_plan_is_the_one_that_help_shows():
    assert blocks("yaml") == [EXAMPLE.read_text(encoding="utf-8")]
