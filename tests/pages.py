"""The pages that people read, their links, and the commands that they show."""

import re
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for pattern in ("*.md", "examples/**/*.md", "scripts/*.md")
    for path in CHECKOUT.glob(pattern)
)

# bash looks for no program, but writes down what it was to run
RECORDER = """
recorded=$1 PATH=/nowhere
command_not_found_handle() { printf '%s\\n' "${*@Q}" >> "$recorded"; }
source() { command_not_found_handle source "$@"; }
"""


def text_of(page):
    return (CHECKOUT / page).read_text(encoding="utf-8")


def blocks(page, language):
    """The blocks of code in ``language`` on a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), flags=re.DOTALL | re.MULTILINE)


def commands(page, folder):
    """The simple commands on a page, each a line as bash quotes words; ``folder`` is scratch.

    Loops, pipes and variables are bash's; a variable keeps its value from block to block.
    """
    recorded = folder / "recorded"
    recorded.touch()
    script = RECORDER + "".join(blocks(page, "bash"))
    bash = ["/bin/bash", "-c", script, "bash", recorded]
    home = {"HOME": str(folder)}
    ran = subprocess.run(bash, cwd=folder, env=home, capture_output=True, text=True)
    assert ran.stderr == ""
    return recorded.read_text(encoding="utf-8").splitlines()
