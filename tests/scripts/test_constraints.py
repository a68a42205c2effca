"""scripts/constraints.sh with a stand-in for uv."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
UV = """#!/usr/bin/env bash
echo "$*" >> calls
cat >> asked
while [[ "$1" != --output-file ]]; do shift; done
printf '%s\\n' torch==9.9.0 cuda-toolkit==1 nvidia-cudnn-cu13==2 triton==3 tritonclient-x==1 > "$2"
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(CHECKOUT / "scripts" / "constraints.sh", tmp_path / "scripts")
    shutil.copytree(CHECKOUT / "constraints", tmp_path / "constraints")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV)
    uv.chmod(0o755)
    return tmp_path


def write_constraints(checkout, *arguments):
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", checkout / "scripts" / "constraints.sh", *arguments]
    subprocess.run(command, env=environment, check=True)


def test_the_newest_versions_are_asked_for_by_every_python(checkout):
    write_constraints(checkout, "--upgrade")
    calls = [call.split() for call in (checkout / "calls").read_text().splitlines()]
    files = sorted((checkout / "constraints").iterdir())
    assert [call[call.index("--output-file") + 1] for call in calls] == [
        f"constraints/{file.name}" for file in files
    ]
    for call, file in zip(calls, files):
        assert f"python{call[call.index('--python-version') + 1]}.txt" == file.name
        assert call[:2] == ["pip", "compile"]
        assert call[-3:] == ["--upgrade", "setup.cfg", "-"]
    assert (checkout / "asked").read_text().splitlines().count("Cython>=3") == len(files)


def test_what_torch_asks_for_itself_is_left_to_it(checkout):
    write_constraints(checkout)
    for file in (checkout / "constraints").iterdir():
        assert file.read_text() == "torch==9.9.0\ntritonclient-x==1\n"


def test_a_python_without_a_set_starts_from_another(checkout):
    (checkout / "constraints" / "python3.14.txt").unlink()
    (checkout / "bin" / "uv").write_text("#!/usr/bin/env bash\ncat > /dev/null\n")
    write_constraints(checkout)
    assert "torch==" in (checkout / "constraints" / "python3.14.txt").read_text()
