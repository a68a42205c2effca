"""Compiles the kernels of csrc/ for this machine's processor, and finds them again.

A library's name has all that it was made from: sources, compiler flags, torch, and what the
processor can do. So a library from a machine with other instructions is never loaded.
"""

import functools
import hashlib
import os
import platform
import subprocess
import tempfile
from pathlib import Path

import torch

from fairseq_lstmn.errors import InputError

SOURCES = Path(__file__).parent / "csrc"
FLAGS = (
    *("-O3", "-std=c++20", "-shared", "-fPIC", "-fopenmp"),
    *("-fno-math-errno", "-fno-trapping-math"),  # neither errno nor signals are read
)
INSTRUCTIONS = {
    "AVX2": ("-mavx2", "-mfma"),
    "AVX512": ("-mavx2", "-mfma", "-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"),
}  # by torch's name for what this processor can do; others run what every one of its kind can


def flags() -> tuple[str, ...]:
    """The compiler's flags for this processor."""
    return (*FLAGS, *INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), ()))


@functools.cache
def library() -> Path:
    """Where the kernels for this machine are, or will be when they are built."""
    ingredients = hashlib.sha256(
        " ".join((platform.machine(), torch.__version__, *flags())).encode()
    )
    for source in sorted(SOURCES.glob("*.*")):
        ingredients.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fairseq_lstmn" / f"kernels-{ingredients.hexdigest()[:16]}.so"


def build() -> None:
    """Compile the kernels to ``library()``, with the compiler CXX names or else c++.

    Raises InputError where there is no compiler, or it fails, or nothing can be written.
    """
    compiler = os.environ.get("CXX") or "c++"
    try:
        library().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library().parent) as folder:
            built = Path(folder) / library().name
            run_compiler(compiler, built)
            os.replace(built, library())
    except FileNotFoundError:
        raise InputError(f"no C++ compiler {compiler!r} (CXX can name another one)") from None
    except OSError as error:
        raise InputError(f"{library()} cannot be written: {error.strerror}") from None


def run_compiler(compiler: str, built: Path) -> None:
    torch_folder = Path(torch.__file__).parent
    include, libraries = torch_folder / "include", torch_folder / "lib"
    command = [
        *compiler.split(),
        *flags(),
        str(SOURCES / "kernels.cpp"),
        *("-o", str(built)),
        *(f"-I{include}", f"-I{include}/torch/csrc/api/include", f"-L{libraries}"),
        *("-ltorch", "-ltorch_cpu", "-lc10"),
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if "error" in line] or [""]
        raise InputError(f"{compiler} exited with status {ended.returncode}: {said[0]}")


@functools.cache
def load(path: Path) -> str | None:
    """Bring the kernels of ``path`` into torch.ops; None, or why that cannot be done."""
    try:
        torch.ops.load_library(path)
    except OSError as error:
        return f"cannot be loaded ({error.__cause__ or error}), build it anew: fairseq-lstmn build"
    return None
