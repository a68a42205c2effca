"""Whole layers, both passes, at real sizes against ``reference`` in float64."""

import torch
from cases import Cases, Sizes, arguments, device_of, header, results_and_gradients, to, worst

from fairseq_lstmn.ops.selfcheck import LIMIT

REAL = [
    Sizes(40, 35, 300),
    Sizes(40, 35, 300, ragged=True, distances=4),
    Sizes(7, 63, 150, prefix=9, source=17, ragged=True, distances=3),
    Sizes(16, 100, 512, source=40, ragged=True),
    Sizes(16, 100, 512, source=40, ragged=True, deep=False),
    Sizes(3, 200, 1024, prefix=30, source=50, ragged=True, distances=5),
    Sizes(1, 512, 300, prefix=100, ragged=True),
    Sizes(2, 512, 1024, ragged=True, span=100),
    Sizes(5, 1, 300, prefix=400),
]
SMALL = [Sizes(2, 2, 4, source=2, deep=False), Sizes(2, 2, 5, 2, 2, ragged=True, distances=2)]
TYPES = {torch.float32: LIMIT, torch.bfloat16: 5e-3, torch.float16: 5e-3}


def check(cpu: bool) -> None:
    """``triton_eager``, then ``triton`` until it is recorded and replayed with other numbers.

    On the CPU, where both are the same, the former alone.
    """
    device, cases = device_of(cpu), Cases()
    header("layer", "largest error", "of", "")
    for number, sizes in enumerate(SMALL if cpu else REAL):
        dtypes = list(TYPES) if number == 1 else [torch.float32]
        for dtype in dtypes:
            name = f"{sizes}, {str(dtype)[6:]}"
            with cases.case(name):
                compare(cases, name, sizes, device, dtype)
    cases.end()


def compare(
    cases: Cases, name: str, sizes: Sizes, device: torch.device, dtype: torch.dtype
) -> None:
    # the lengths are in the first draw, so that shapes come again
    first = arguments(sizes)
    backends = ["triton_eager", "triton", "triton", "triton"]
    for seed, backend in enumerate(backends[:1] if device.type == "cpu" else backends):
        drawn = {**arguments(sizes, seed), "lengths": first["lengths"]}
        rounded = to(drawn, device, dtype)
        expected = results_and_gradients(to(rounded, device, torch.float64), "reference")
        actual = results_and_gradients(rounded, backend)
        if seed == 1:  # not recorded yet
            continue
        error, what = worst(actual, expected)
        graph = {0: "no graph", 2: "recorded", 3: "replayed"}[seed]
        cases.judge(f"{name}, {graph}", error, TYPES[dtype], what)
