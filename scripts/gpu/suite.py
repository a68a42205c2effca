"""The suite's own tests of the recurrence, which take the device where there is one."""

import subprocess
import sys

from cases import is_importable

FILES = "test_triton.py test_kernels.py test_graphs.py test_cuda_graphs.py".split()
NEEDED = "pytest", "hypothesis"


def run(cpu: bool) -> None:
    """Exits with pytest's status; says so where pytest is not there."""
    missing = [name for name in NEEDED if not is_importable(name)]
    if missing:
        print(f"Not run: {' and '.join(missing)} cannot be imported.")
        return
    files = FILES[-1:] if cpu else FILES
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, *(f"tests/ops/{name}" for name in files)], capture_output=True, text=True
    )
    output = result.stdout if result.returncode else "\n".join(result.stdout.splitlines()[-15:])
    print(f"```\n{output.strip()}\n```")
    if result.returncode:
        sys.exit(f"pytest exits with {result.returncode}\n{result.stderr}")
