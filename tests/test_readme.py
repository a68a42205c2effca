"""The README's commands, as they stand there, on a tiny text and for a few updates."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fairseq_commands import CHECKOUT, monolingual_data

# what keeps a command short; the last value of an option counts
SHORTER = {
    "fairseq-train": "--max-update 2",
    "python scripts/bench_recurrence.py": "--batch 2 --input 4 --hidden 4 --steps 3 --rounds 2",
}


def commands():
    """The shell commands of the README, in order."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder that looks like the checkout after the quickstart, with another text."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fairseq_lstmn", "scripts"):
        (folder / name).symlink_to(CHECKOUT / name)
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
