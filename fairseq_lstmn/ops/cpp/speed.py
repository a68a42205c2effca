"""How fast the compiled kernels are beside torch's, for `fairseq-lstmn doctor`."""

import time
from collections.abc import Callable
from statistics import median

import torch

from fairseq_lstmn.ops.growing import GrowingTape
from fairseq_lstmn.ops.lstmn import lstmn
from fairseq_lstmn.ops.types import Tape, Weights

ROWS, WIDTH, SLOTS = 40, 300, 100
REPEATS = 15


@torch.no_grad()
def beside_torch() -> list[tuple[str, float, float]]:
    """[(what is timed, the kernels' microseconds, torch's)], taking turns, medians."""
    kernels = torch.ops.fairseq_lstmn
    x, weight = torch.randn(ROWS, WIDTH), torch.randn(WIDTH, 4 * WIDTH)
    packed = kernels.pack(weight)
    steps = torch.randn(ROWS, 1, WIDTH), torch.randn(ROWS, 1, 4 * WIDTH)
    matrix = torch.randn(WIDTH, WIDTH)
    weights = Weights(matrix, matrix, x[0], weight.T)
    tape = Tape(*torch.randn(3, ROWS, SLOTS, WIDTH))
    ours, torchs = GrowingTape(tape), GrowingTape(tape)
    return [
        (
            f"{ROWS} x {WIDTH} times {WIDTH} x {4 * WIDTH}",
            *in_turns(lambda: kernels.product(x, packed, 4 * WIDTH), lambda: x @ weight),
        ),
        (
            f"a step of {ROWS} rows over {SLOTS} slots",
            *in_turns(
                lambda: lstmn(*steps, weights, ours, backend="cpp"),
                lambda: lstmn(*steps, weights, torchs, backend="recompute"),
            ),
        ),
    ]


def in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """The median microseconds of calls of both."""
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(REPEATS):
        for function, times in zip((one, other), seconds):
            began = time.perf_counter()
            function()
            times.append(time.perf_counter() - began)
    return 1e6 * median(seconds[0]), 1e6 * median(seconds[1])
