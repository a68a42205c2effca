"""Whether a backend computes on a device what `recompute` does, before anybody relies on it.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

from collections.abc import Callable
from math import sqrt
from threading import Lock, Thread
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_lstmn.ops.lstmn import lstmn
from fairseq_lstmn.ops.triton.cuda_graphs import is_capturing, precision
from fairseq_lstmn.ops.types import Source, Tape, Weights

B, T, P, S, H, R = 3, 5, 3, 4, 20, 2
BATCHES = 3  # of one size: where there are graphs, they are recorded at the second
LIMIT = 1e-4  # of RMS(difference) / RMS(expected); measured 1.4e-6 in Triton's interpreter
LIMIT_IN_TF32 = 5e-3  # where users let products have ten bits
PATIENCE = 300.0  # seconds; compiling the kernels takes most of them

_verdicts: "dict[tuple[str, torch.device], Verdict]" = {}
_lock = Lock()


class Verdict(NamedTuple):
    """What became of a backend on a device."""

    errors: dict[str, float]  # the largest of each result and gradient
    fault: str | None = None  # what is wrong, in words for one line

    def worst(self) -> tuple[str, float]:
        """The name of the largest error, and that."""
        return max(self.errors.items(), key=lambda item: item[1])


def verdict(backend: str, device: torch.device) -> Verdict | None:
    """The ``Verdict`` on ``backend`` on ``device``, found once in a process.

    None, and to be asked again, while the caller records a CUDA graph, which it would spoil.
    """
    key = backend, device
    if key not in _verdicts:
        if device.type == "cuda" and is_capturing(device):
            return None
        with _lock:
            if key not in _verdicts:
                _verdicts[key] = examine(backend, device)
    return _verdicts[key]


def examine(backend: str, device: torch.device) -> Verdict:
    """The ``Verdict`` on ``backend`` on ``device``, whatever it does.

    The work is done in a thread of its own, out of reach of the caller's modes: inference, no
    gradients, autocast, fake tensors, a stream.
    """
    found: list[Verdict] = []
    thread = Thread(target=lambda: found.append(judge(backend, device)), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return found[0] if found else Verdict({}, f"does not end within {PATIENCE:g} seconds")


def judge(backend: str, device: torch.device) -> Verdict:
    """The ``Verdict`` on ``backend`` on ``device``, if it ends."""
    try:
        errors = compare(backend, device)
    except BaseException as raised:  # nobody interrupts this thread: the backend did
        said = str(raised).strip().splitlines() or [""]
        return Verdict({}, f"raises {type(raised).__name__}: {said[0]}")
    found = Verdict(errors)
    name, error = found.worst()
    if error <= (LIMIT_IN_TF32 if precision() in ("tf32", "high", "medium") else LIMIT):
        return found
    return found._replace(fault=f"computes a wrong {name}, off by {error:.1e}")


def compare(backend: str, device: torch.device) -> dict[str, float]:
    """{name of a result or gradient: its largest error} over batches of other values."""
    found = []
    for seed in range(BATCHES):
        expected, actual = (compute(name, device, seed) for name in ("recompute", backend))
        found.append(torch.stack([error(actual[name], expected[name]) for name in expected]))
    return dict(zip(expected, torch.stack(found).amax(dim=0).tolist()))


def error(actual: Tensor, expected: Tensor) -> Tensor:
    """RMS(difference) / RMS(expected), infinite if that is no number."""
    ratio = (actual - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    return ratio.nan_to_num(nan=torch.inf, posinf=torch.inf)


def compute(backend: str, device: torch.device, seed: int) -> dict[str, Tensor]:
    """All results and gradients of a layer by name."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        return drawn.to(device)

    arguments = layer(normal, device, seed)
    leaves = tensors(arguments)
    for leaf in leaves.values():
        leaf.requires_grad_()
    outputs, tape, attention = lstmn(**arguments, return_attention=True, backend=backend)
    results = tensors({"outputs": outputs, "tape": tape, "attention": attention})
    parts = [(normal(*result.shape) * result).sum() for result in results.values()]
    loss = torch.stack(parts).sum()
    found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    results = {name: result.detach() for name, result in results.items()}
    return {**results, **{f"gradient of {name}": gradient for name, gradient in zip(leaves, found)}}


def layer(normal: Callable[..., Tensor], device: torch.device, seed: int) -> dict[str, Any]:
    """Arguments of ``lstmn``: ragged, with a prefix, a source for deep fusion, and a bias."""

    def matrix(outputs: int) -> Tensor:
        return normal(outputs, H) / sqrt(H)

    def score() -> Tensor:
        return normal(H) * 3 / sqrt(H)

    def each(*values: int) -> Tensor:
        """``values``, one for a row, which change places from seed to seed."""
        return torch.tensor(values, device=device).roll(seed, dims=0)

    slots = torch.arange(S, device=device)
    return dict(
        query_inputs=normal(B, T, H),
        gate_inputs=normal(B, T, 4 * H),
        weights=Weights(
            *(matrix(H), matrix(H), score(), matrix(4 * H)), matrix(H), score(), matrix(H)
        ),
        tape=Tape(
            *(normal(B, P, H), normal(B, P, H), normal(B, P, H)),
            *(normal(B, H), normal(B, H), each(P, 0, 2)),
        ),
        source=Source(
            *(normal(B, S, H), normal(B, S, 2 * H), normal(B, T, H), normal(B, T, H)),
            mask=slots < each(1, S, 3).unsqueeze(1),
        ),
        lengths=each(T, 2, 3),
        memory_span=T,
        distance_bias=normal(R + 1),
    )


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every floating tensor in dicts and named tuples by dotted name."""
    if isinstance(value, torch.Tensor):
        return {name: value} if value.is_floating_point() else {}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    found: dict[str, Tensor] = {}
    for key, part in value.items() if isinstance(value, dict) else ():
        found.update(tensors(part, f"{name}.{key}" if name else key))
    return found
