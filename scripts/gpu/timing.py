"""How long a layer takes, beside those of torch, and where the time goes.

By CUDA events over whole passes, forwards and backwards; microseconds a step are those divided by
T. Of each the median of rounds in which all take turns.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from cases import Cases, device_of, header
from torch import Tensor, nn

from fairseq_lstmn.ops import Weights, lstmn


class Sized(nn.Module):
    """An LSTMN layer that projects its inputs itself, as nn.LSTM does."""

    def __init__(self, inputs: int, width: int, backend: str) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, 5 * width)
        shapes = (width, width), (width, width), (width,), (4 * width, width)
        scale = width**-0.5
        self.parts = nn.ParameterList([nn.Parameter(scale * torch.randn(s)) for s in shapes])
        self.width, self.backend = width, backend

    def forward(self, x: Tensor) -> Tensor:
        query, gates = self.project(x).split([self.width, 4 * self.width], dim=2)
        return lstmn(query, gates, Weights(*self.parts), backend=self.backend)[0]


class CellLoop(nn.Module):
    """An nn.LSTMCell in a loop."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        state: tuple[Tensor, Tensor] | None = None
        outputs = []
        for step in x.unbind(dim=1):
            state = self.cell(step, state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1)


class First(nn.Module):
    """The outputs of nn.LSTM alone."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(inputs, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


LAYERS: dict[str, Callable[[int, int], nn.Module]] = {
    "nn.LSTM": First,
    "nn.LSTMCell loop": CellLoop,
    "lstmn triton (graphs)": partial(Sized, backend="triton"),
    "lstmn triton_eager": partial(Sized, backend="triton_eager"),
    "lstmn recompute": partial(Sized, backend="recompute"),
    "lstmn reference (autograd)": partial(Sized, backend="reference"),
}


class Pass:
    """A layer, its inputs and both passes."""

    def __init__(
        self, name: str, sizes: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype
    ) -> None:
        batch, steps, inputs, width = sizes
        torch.manual_seed(1)
        self.layer = LAYERS[name](inputs, width).to(device, dtype)
        self.x = torch.randn(batch, steps, inputs, device=device, dtype=dtype).requires_grad_()
        self.cotangent = torch.randn(batch, steps, width, device=device, dtype=dtype)

    def __call__(self) -> None:
        self.layer.zero_grad(set_to_none=True)
        self.x.grad = None
        torch.autograd.backward(self.layer(self.x), self.cotangent)


def microseconds(work: Callable[[], None], device: torch.device) -> float:
    if device.type == "cpu":
        began = time.perf_counter()
        work()
        return 1e6 * (time.perf_counter() - began)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return 1000 * start.elapsed_time(end)


def kernels_of(work: Callable[[], None], device: torch.device) -> int | str:
    """How many kernels a device runs in ``work``, copies among them."""
    if device.type == "cpu":
        return "?"
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    return sum(event.device_type.name == "CUDA" for event in profiler.events())


def table(cpu: bool) -> None:
    """All layers at all sizes and types."""
    device, cases = device_of(cpu), Cases()
    sizes = (
        [(2, 3, 4, 4)] if cpu else [(40, 35, 150, 300), (40, 100, 150, 300), (16, 200, 512, 512)]
    )
    header("B, T, D, H", "type", "layer", "us, both passes", "us a step", "x nn.LSTM", "launches")
    for size in sizes:
        for dtype in (torch.float32,) if cpu else (torch.float32, torch.bfloat16):
            passes: dict[str, Pass] = {}
            for name in LAYERS:
                with cases.case(name):
                    passes[name] = Pass(name, size, device, dtype)
                    for _ in range(0 if cpu else 4):  # compiled, recorded and warm
                        passes[name]()
            times: dict[str, list[float]] = {name: [] for name in passes}
            for _ in range(1 if cpu else 15):
                for name, work in passes.items():
                    times[name].append(microseconds(work, device))
            for name, taken in times.items():
                us, torchs = median(taken), median(times["nn.LSTM"])
                print(
                    f"| {', '.join(map(str, size))} | {str(dtype)[6:]} | {name} | {us:.1f} "
                    f"| {us / size[1]:.1f} | {us / torchs:.2f} "
                    f"| {kernels_of(passes[name], device)} |",
                    flush=True,
                )
    cases.end()


def profile(cpu: bool) -> None:
    """Ten passes of the layer of 300, by kernel."""
    from torch.profiler import ProfilerActivity

    device = device_of(cpu)
    work = Pass(
        "lstmn triton (graphs)", (1, 2, 3, 3) if cpu else (40, 35, 150, 300), device, torch.float32
    )
    for _ in range(0 if cpu else 4):
        work()
    kinds = [ProfilerActivity.CPU] + ([] if cpu else [ProfilerActivity.CUDA])
    with torch.profiler.profile(activities=kinds) as profiler:
        for _ in range(1 if cpu else 10):
            work()
        if not cpu:
            torch.cuda.synchronize()
    by = "self_cpu_time_total" if cpu else "self_device_time_total"
    print(f"```\n{profiler.key_averages().table(sort_by=by, row_limit=30)}\n```")
