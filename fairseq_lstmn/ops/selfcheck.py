"""Whether a layer comes out on a device as by another backend, before anybody relies on it.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

from collections.abc import Callable
from math import sqrt
from threading import Lock, Thread
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from fairseq_lstmn.ops import prepare
from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.triton.cuda_graphs import is_capturing, precision
from fairseq_lstmn.ops.types import Source, Tape, Weights

Layer: TypeAlias = Callable[[Inputs], Results]

B, T, P, S, H, R = 3, 5, 3, 4, 20, 2
BATCHES = 3  # of one size: where there are graphs, they are recorded at the second
LIMIT = 1e-4  # of RMS(difference) / RMS(expected); measured 1.4e-6 in Triton's interpreter
LIMIT_IN_TF32 = 5e-3  # where users let products have ten bits
PATIENCE = 300.0  # seconds; compiling the kernels takes most of them

_verdicts: "dict[tuple[str, torch.device], Verdict]" = {}
_lock = Lock()


class Verdict(NamedTuple):
    """What is known of a backend on a device."""

    errors: dict[str, float]  # the largest of each result and gradient
    fault: str | None = None  # what is wrong, in words for one line

    def worst(self) -> tuple[str, float]:
        """The name of the largest error, and that."""
        return max(self.errors.items(), key=lambda item: item[1])


def verdict(name: str, device: torch.device, actual: Layer, expected: Layer) -> Verdict | None:
    """The ``Verdict`` on the backend ``name``, which computes ``actual``, once in a process.

    None, and to be asked again, while the caller records a CUDA graph, which it would spoil.
    """
    key = name, device
    if key not in _verdicts:
        if device.type == "cuda" and is_capturing(device):
            return None
        with _lock:
            if key not in _verdicts:
                _verdicts[key] = examine(device, actual, expected)
    return _verdicts[key]


def examine(device: torch.device, actual: Layer, expected: Layer) -> Verdict:
    """The ``Verdict`` on ``actual``, whatever it does.

    The work is done in a thread of its own, out of reach of the caller's modes: inference, no
    gradients, autocast, fake tensors, a stream.
    """
    verdicts: list[Verdict] = []
    thread = Thread(target=lambda: verdicts.append(judge(device, actual, expected)), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return verdicts[0] if verdicts else Verdict({}, f"does not end within {PATIENCE:g} seconds")


def judge(device: torch.device, actual: Layer, expected: Layer) -> Verdict:
    """The ``Verdict`` on ``actual``, if it ends."""
    try:
        errors = compare(device, actual, expected)
    except BaseException as raised:  # nobody interrupts this thread: the backend did
        message = str(raised).strip().splitlines() or [""]
        return Verdict({}, f"raises {type(raised).__name__}: {message[0]}")
    agrees = Verdict(errors)
    name, error = agrees.worst()
    if error <= (LIMIT_IN_TF32 if precision() in ("tf32", "high", "medium") else LIMIT):
        return agrees
    return agrees._replace(fault=f"computes a wrong {name}, off by {error:.1e}")


def compare(device: torch.device, actual: Layer, expected: Layer) -> dict[str, float]:
    """{name of a result or gradient: its largest error} over batches of other values."""
    errors, names = [], []
    for seed in range(BATCHES):
        right, tested = (compute(layer, device, seed) for layer in (expected, actual))
        names = list(right)
        errors.append(torch.stack([error(tested[name], right[name]) for name in names]))
    return dict(zip(names, torch.stack(errors).amax(dim=0).tolist()))


def error(actual: Tensor, expected: Tensor) -> Tensor:
    """RMS(difference) / RMS(expected), infinite if that is no number."""
    ratio = (actual - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    return ratio.nan_to_num(nan=torch.inf, posinf=torch.inf)


def compute(layer: Layer, device: torch.device, seed: int) -> dict[str, Tensor]:
    """All results and gradients of a layer by name."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")
        return drawn.to(device)

    inputs, lengths = arguments(normal, device, seed)
    leaves = tensors(inputs)
    for leaf in leaves.values():
        leaf.requires_grad_()
    inputs, batch = prepare.checked(inputs, lengths)
    outputs, tape, attention = batch.run(layer, prepare.fill_in(inputs))
    results = tensors({"outputs": outputs, "tape": tape, "attention": attention})
    parts = [(normal(*result.shape) * result).sum() for result in results.values()]
    loss = torch.stack(parts).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    by_name = {f"gradient of {name}": gradient for name, gradient in zip(leaves, gradients)}
    return {name: result.detach() for name, result in results.items()} | by_name


def arguments(
    normal: Callable[..., Tensor], device: torch.device, seed: int
) -> tuple[Inputs, Tensor]:
    """``Inputs`` and lengths: ragged, with a prefix, a source for deep fusion, and a bias."""

    def matrix(outputs: int) -> Tensor:
        return normal(outputs, H) / sqrt(H)

    def score() -> Tensor:
        return normal(H) * 3 / sqrt(H)

    def each(*values: int) -> Tensor:
        """``values``, one for a row, which change places from seed to seed."""
        return torch.tensor(values, device=device).roll(seed, dims=0)

    slots = torch.arange(S, device=device)
    inputs = Inputs(
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
        memory_span=T,
        distance_bias=normal(R + 1),
    )
    return inputs, each(T, 2, 3)


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every floating tensor in dicts and named tuples by dotted name."""
    if isinstance(value, torch.Tensor):
        return {name: value} if value.is_floating_point() else {}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    by_name: dict[str, Tensor] = {}
    for key, part in value.items() if isinstance(value, dict) else ():
        by_name.update(tensors(part, f"{name}.{key}" if name else key))
    return by_name
