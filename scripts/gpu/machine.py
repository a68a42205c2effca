"""What the report was made on."""

import platform
import subprocess
import sys
from importlib import metadata

import torch
from cases import is_importable


def describe(cpu: bool) -> None:
    """Print the machine, versions and the commit; errors of tools that are not there, too."""
    print(f"- {platform.platform()}, Python {sys.version.split()[0]}")
    for name in ("torch", "triton", "fairseq", "fairseq-fixed", "numpy"):
        print(f"- {name} {version(name)}")
    print(f"- CUDA {torch.version.cuda}, HIP {torch.version.hip}, cuDNN {cudnn()}")
    print(f"- commit {output_of('git', 'describe', '--always', '--dirty')}")
    print(f"- fairseq can be imported: {'yes' if is_importable('fairseq') else 'no'}")
    if not cpu and torch.cuda.is_available():
        print(f"- {torch.cuda.get_device_properties(0)}")
    print(f"\n```\n{output_of('nvidia-smi')}\n```")


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"


def cudnn() -> object:
    return torch.backends.cudnn.version() if torch.cuda.is_available() else None


def output_of(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    return (result.stdout or result.stderr).strip()
