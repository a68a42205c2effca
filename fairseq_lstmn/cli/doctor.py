"""Report versions, devices, recurrence backends and architectures, and what is broken.

The exit status is 1 when something that fairseq or the plugin needs is broken; each
such thing is one line on standard error.
"""

from __future__ import annotations

import importlib
import platform
import sys
from argparse import ArgumentParser, Namespace
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # doctor must start where torch cannot
    from fairseq_lstmn.ops.selfcheck import Verdict

Row: TypeAlias = tuple[str, str]

FAIRSEQ = ("fairseq", "fairseq-fixed")  # two distributions of the same package
OTHERS = ("torch", "numpy", "hydra-core", "omegaconf", "sacrebleu", "sentencepiece")
EXTENSIONS = ("fairseq.data.data_utils_fast", "fairseq.data.token_block_utils_fast")
# which scripts/setup.sh does not build: (extension, what needs it)
LEFT_OUT = (
    ("fairseq.libbase", "mixtures of experts (BASE layers)"),
    ("fairseq.libnat", "non-autoregressive translation (Levenshtein transformers)"),
    ("alignment_train_cpu_binding", "simultaneous translation (monotonic attention)"),
)
REBUILD = "pip install --force-reinstall --no-deps --no-cache-dir --no-build-isolation --no-binary"


def add_arguments(parser: ArgumentParser) -> None:
    """There are none."""


def run(args: Namespace) -> int:
    problems: list[str] = []
    show("versions", versions(problems))
    if can_import("torch", problems):
        show("devices", devices())
        for kind in kinds_of_device():
            show(f"recurrence backends on {kind}", recurrence_backends(kind))
        if speeds := compiled_kernels():
            show("compiled kernels of the CPU", speeds)
        for device, _ in devices():
            checked = backends_on_trial(device)
            if checked:
                show(f"recurrence backends on {device} against recompute", checked)
    if can_import("fairseq", problems):
        check_extensions(problems)
        if missing := left_out():
            show("left out of fairseq, for models that this plugin has no part in", missing)
        show("models and their architectures", architectures())
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def show(title: str, rows: list[Row]) -> None:
    """Print ``rows`` of (name, value), aligned, under ``title``."""
    width = max((len(name) for name, _ in rows), default=0)
    print(title)
    for name, value in rows:
        print(f"  {name:{width}}  {value}")


def versions(problems: list[str]) -> list[Row]:
    """(distribution, version) of all that is installed; what is missing joins ``problems``."""
    rows = [("python", platform.python_version())]
    fairseqs = [name for name in FAIRSEQ if installed(name)]
    if not fairseqs:
        problems.append(f"fairseq is not installed: pip install {matching_fairseq()}")
    for name in (*fairseqs, *OTHERS):
        if installed(name):
            rows.append((name, metadata.version(name)))
        else:
            problems.append(f"{name} is not installed: pip install {name}")
    return rows


def installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def matching_fairseq() -> str:
    """fairseq 0.12.2 cannot be imported on Python 3.11 and later; fairseq-fixed can."""
    return "fairseq==0.12.2" if sys.version_info < (3, 11) else "fairseq-fixed==0.12.3.1"


def can_import(package: str, problems: list[str]) -> bool:
    """Whether ``package`` can be imported; if not, why not joins ``problems``."""
    try:
        importlib.import_module(package)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        problem = f"{package} cannot be imported ({reason})"
        if package == "fairseq" and installed("fairseq") and sys.version_info >= (3, 11):
            problem += f": on this Python, pip uninstall fairseq, pip install {matching_fairseq()}"
        problems.append(problem)
        return False
    return True


def check_extensions(problems: list[str]) -> None:
    for extension in EXTENSIONS:
        if find_spec(extension) is None:
            problems.append(f"{extension} is missing: reinstall fairseq, with a C++ compiler")
        else:
            can_import(extension, problems)


def left_out() -> list[Row]:
    """(extension, what needs it) of all that are not built, then how to have them."""
    missing = [row for row in LEFT_OUT if find_spec(row[0]) is None]
    fairseq = matching_fairseq()
    how = ("to have them", f"{REBUILD} {fairseq.partition('==')[0]} {fairseq}")
    return [*missing, how] if missing else []


def devices() -> list[Row]:
    """(device, what it is) of all that torch can use."""
    import torch

    gpus = range(torch.cuda.device_count())
    return [
        ("cpu", f"{torch.get_num_threads()} threads"),
        *((f"cuda:{gpu}", torch.cuda.get_device_name(gpu)) for gpu in gpus),
    ]


def kinds_of_device() -> list[str]:
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def recurrence_backends(device: str) -> list[Row]:
    """(backend, whether it can run on ``device``), the fastest first."""
    from fairseq_lstmn.ops import backends

    return [
        (name, "can run" if obstacle is None else f"cannot run: {obstacle}")
        for name, obstacle in backends.report(device)
    ]


def compiled_kernels() -> list[Row]:
    """What the kernels of this processor are compiled for, and how fast; nothing without them."""
    import torch

    from fairseq_lstmn.ops import cpp

    if cpp.obstacle(torch.device("cpu")):
        return []
    from fairseq_lstmn.ops.cpp import cpp_library, speed

    instructions = cpp_library.INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), ())
    return [
        ("compiled for", " ".join(instructions) or f"every {platform.machine()}"),
        *(
            (what, f"{ours:,.0f} us, by torch {torchs:,.0f} us")
            for what, ours, torchs in speed.beside_torch()
        ),
    ]


def backends_on_trial(device: str) -> list[Row]:
    """(backend, how far it is off on ``device``) of all that ``auto`` does not take unseen."""
    import torch

    from fairseq_lstmn.ops import backends

    verdicts = [
        (name, backends.verdict(name, torch.device(device))) for name in backends.on_trial(device)
    ]
    return [row for name, verdict in verdicts if verdict for row in described(name, verdict)]


def described(backend: str, verdict: Verdict) -> list[Row]:
    """Rows (name, value): the verdict in words, then the error of each result and gradient."""
    words = "agrees" if verdict.fault is None else f"{verdict.fault} (auto goes on without it)"
    errors = [(f"  {name}", f"{error:.1e}") for name, error in verdict.errors.items()]
    return [(backend, words), *errors]


def architectures() -> list[Row]:
    """(model, its architectures) of all that the plugin has registered with fairseq."""
    from fairseq.models import ARCH_MODEL_INV_REGISTRY, MODEL_REGISTRY

    return [
        (name, " ".join(ARCH_MODEL_INV_REGISTRY[name]))
        for name, model in MODEL_REGISTRY.items()
        if model.__module__.startswith("fairseq_lstmn.")
    ]
