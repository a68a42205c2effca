"""Each Triton kernel by itself against the same in plain torch in float64.

B batch, n slots, m later steps, H hidden width.
"""

from typing import Any

import torch
from cases import Cases, Named, device_of, header, worst
from torch import Tensor

from fairseq_lstmn.ops.passes import step_kernels
from fairseq_lstmn.ops.selfcheck import LIMIT

REAL = [(B, n, H) for H in (150, 300, 512, 1024) for B, n in ((40, 35), (3, 200), (1, 512))]
SMALL = [(2, 5, 4), (1, 40, 6)]


class Drawn:
    """Random arguments of all kernels, (B, n, H)."""

    def __init__(self, batch: int, slots: int, width: int, shallow: bool) -> None:
        self.generator = torch.Generator().manual_seed(0)
        value = width if shallow else 2 * width
        self.keys, self.slots = self.of(batch, slots, width), self.of(batch, slots, value)
        self.queries, self.score = self.of(batch, width), self.of(width) * 3 / width**0.5
        self.bias = self.of(slots)
        self.blocked = torch.rand(batch, slots, generator=self.generator) < 0.3
        self.grad_sums, self.grad_attention = self.of(batch, value), self.of(batch, slots)
        self.products, self.gates = self.of(batch, 5 * width), self.of(batch, 4 * width)
        self.memory, self.fused = self.of(batch, width), self.of(batch, width)
        self.later, self.later_sums = self.of(batch, 15), self.of(batch, 15, 2 * width)
        self.grad_slot, self.query = self.of(batch, 2 * width), self.of(batch, width)

    def of(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)


def run(kernels: Any, drawn: Drawn, device: torch.device, dtype: torch.dtype) -> Named:
    """What the four kernels write."""
    d = {
        name: part.to(device, dtype if part.is_floating_point() else None).clone()
        for name, part in vars(drawn).items()
        if isinstance(part, Tensor)
    }
    count, last = d["slots"].shape[1:], d["slots"].size(1)
    batch, width = d["queries"].shape
    attention = d["gates"].new_zeros(batch, last)
    sums = d["gates"].new_empty(batch, count[1])
    read = d["keys"], d["slots"], d["queries"], d["score"]
    kernels.attend(*read, d["bias"], d["blocked"], attention, sums, 0, last)
    grads = {name: torch.zeros_like(d[name]) for name in ("queries", "keys")}
    grad_score, grad_bias = torch.zeros_like(d["queries"]), torch.zeros_like(attention)
    kernels.attend_backward(
        *(*read, attention, sums, d["grad_sums"], d["grad_attention"]),
        *(grad_score, grads["queries"], grads["keys"], grad_bias, 0, last),
    )
    slot, grad_gates = d["grad_slot"].new_empty(batch, 2 * width), torch.empty_like(d["gates"])
    kernels.cell(d["products"], d["gates"], d["query"], d["memory"], d["fused"], slot)
    kernels.cell_backward(
        *(d["gates"], d["memory"], slot, d["later"], d["later_sums"], d["grad_slot"], grad_gates)
    )
    return dict(
        **dict(attention=attention, sums=sums, grad_score=grad_score, grad_bias=grad_bias),
        **{f"grad_{name}": part for name, part in grads.items()},
        **dict(slot=slot, gates=d["gates"], query=d["query"]),
        **dict(grad_gates=grad_gates, grad_slot=d["grad_slot"]),
    )


def check(cpu: bool) -> None:
    """Every kernel at every size, a slot being [hidden; memory] or hidden alone."""
    from fairseq_lstmn.ops.triton import triton_kernels

    device, cases = device_of(cpu), Cases()
    header("kernels", "largest error", "of", "")
    for batch, slots, width in SMALL if cpu else REAL:
        for shallow in (False, True):
            name = f"B {batch} n {slots} H {width}{' shallow' if shallow else ''}"
            with cases.case(name):
                drawn = Drawn(batch, slots, width, shallow)
                like = torch.empty(0, device=device)
                actual = run(triton_kernels.of_a_pass(like), drawn, device, torch.float32)
                expected = run(step_kernels, drawn, device, torch.float64)
                error, what = worst(actual, expected)
                cases.judge(name, error, LIMIT, what)
    cases.end()
