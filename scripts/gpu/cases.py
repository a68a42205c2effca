"""What all parts share: layers with random arguments, their errors, cases that fail one by one.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

import sys
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from math import sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairseq_lstmn.ops import Source, Tape, Weights, lstmn
from fairseq_lstmn.ops.selfcheck import error, tensors
from fairseq_lstmn.ops.types import mapped

Named = dict[str, Tensor]


class Sizes(NamedTuple):
    """Of a layer: B, T, H, P, S; whether rows are ragged, the span, R, and the fusion."""

    batch: int
    steps: int
    width: int
    prefix: int = 0
    source: int = 0
    ragged: bool = False
    span: int = 0
    distances: int | None = None
    deep: bool = True

    def __str__(self) -> str:
        fields = zip(("B", "T", "H", "P", "S"), self[:5])
        words = [f"{name} {value}" for name, value in fields if value]
        words += ["ragged"] if self.ragged else []
        words += [f"span {self.span}"] if self.span else []
        words += [] if self.distances is None else ["bias"]
        words += ["shallow"] if self.source and not self.deep else []
        return " ".join(words)


def is_importable(name: str) -> bool:
    """Whether that module is there and not broken."""
    try:
        import_module(name)
    except Exception:
        return False
    return True


def device_of(cpu: bool) -> torch.device:
    """The device to work on; ends the part where there is none."""
    if not cpu and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device here (--cpu does without)")
    return torch.device("cpu" if cpu else "cuda")


def arguments(sizes: Sizes, seed: int = 0) -> dict[str, Any]:
    """Of ``lstmn``, on the CPU in float64; inputs have a standard deviation of 1."""
    generator = torch.Generator().manual_seed(seed)
    batch, steps, width, prefix, source, ragged, span, distances, deep = sizes

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def matrix(outputs: int) -> Tensor:
        return normal(outputs, width) / sqrt(width)

    def lengths(longest: int) -> Tensor | None:
        if not ragged:
            return None
        drawn = torch.randint(0, longest + 1, (batch,), generator=generator)
        drawn[0] = longest
        return drawn

    own = matrix(width), matrix(width), normal(width) * 3 / sqrt(width), matrix(4 * width)
    of_source: tuple[Any, ...] = (None, None, None)
    tape = source_tape = None
    if prefix:
        hidden, memory, keys = (normal(batch, prefix, width) for _ in range(3))
        tape = Tape(hidden, memory, keys, normal(batch, width), None, lengths(prefix))
    if source:
        score, gate = normal(width) * 3 / sqrt(width), matrix(width if deep else 4 * width)
        of_source = matrix(width), score, gate
        counts, mask = lengths(source), None
        if counts is not None:
            mask = torch.arange(source) < counts.unsqueeze(1)
        source_tape = Source(
            keys=normal(batch, source, width),
            slots=normal(batch, source, width * (2 if deep else 1)),
            query_inputs=normal(batch, steps, width),
            gate_inputs=normal(batch, steps, width) if deep else None,
            mask=mask,
        )
    return dict(
        query_inputs=normal(batch, steps, width),
        gate_inputs=normal(batch, steps, 4 * width),
        weights=Weights(*own, *of_source),
        tape=tape,
        source=source_tape,
        lengths=lengths(steps),
        memory_span=span,
        distance_bias=None if distances is None else normal(distances + 1),
    )


def to(of: dict[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """``arguments`` there, the floating ones of that type."""

    def move(part: Tensor) -> Tensor:
        return part.to(device, dtype if part.is_floating_point() else part.dtype)

    return {name: mapped(move, value) for name, value in of.items()}


def results_and_gradients(of: dict[str, Any], backend: str) -> Named:
    """All results of ``lstmn`` and the gradients of all arguments, by names.

    Every result has a random cotangent, which its name decides.
    """
    leaves = tensors(of)
    for leaf in leaves.values():
        leaf.requires_grad_()
    outputs, tape, attention = lstmn(**of, return_attention=True, backend=backend)
    results = tensors({"outputs": outputs, "tape": tape, "attention": attention})
    loss = outputs.new_zeros((), dtype=torch.float64)
    for name, result in results.items():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        cotangent = torch.randn(result.shape, generator=generator).bfloat16()
        loss = loss + (result.double() * cotangent.to(result.device).double()).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    by_name = {f"gradient of {name}": part for name, part in zip(leaves, gradients)}
    return {**{name: result.detach() for name, result in results.items()}, **by_name}


def worst(actual: Named, expected: Named) -> tuple[float, str]:
    """The largest RMS(difference) / RMS(expected), and of what; zeros have no error."""
    errors = {}
    for name, right in expected.items():
        if right.any():
            errors[name] = error(actual[name].double(), right.double()).item()
        elif actual[name].abs().amax() > 1e-4:
            errors[name] = float("inf")
    return max((value, name) for name, value in errors.items())


class Cases:
    """Cases of a part, each of which may be wrong or raise and stops no other."""

    def __init__(self) -> None:
        self.faults = 0

    @contextmanager
    def case(self, name: str) -> Iterator[None]:
        """What raises is printed whole, and counts as a fault."""
        try:
            yield
        except Exception:
            self.faults += 1
            print(f"\n**{name} raises**\n\n```\n{traceback.format_exc()}```\n", flush=True)

    def judge(self, name: str, error: float, limit: float, what: str = "") -> None:
        """Print a row of a table: the case, its largest error, of what, and whether it may be."""
        wrong = not error <= limit
        self.faults += wrong
        verdict = f"**WRONG**, above {limit:.0e}" if wrong else "right"
        print(f"| {name} | {error:.1e} | {what} | {verdict} |", flush=True)

    def end(self) -> None:
        """Exit with 1 if there were faults."""
        if self.faults:
            sys.exit(f"{self.faults} faults, see above")


def header(*names: str) -> None:
    """The head of a table."""
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}", flush=True)
