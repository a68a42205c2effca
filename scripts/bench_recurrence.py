#!/usr/bin/env python3
"""Time and peak memory of one recurrent layer: every LSTMN backend against the LSTMs of torch.

All contenders read the same (B, T, D) input, project it themselves and are asked for the
gradients of their input and weights. Rounds are interleaved: each runs every contender once.
Ratios are of the process's CPU time, on CUDA of the time between events on the device.

    python scripts/bench_recurrence.py --steps 35 70 200 --json bench.json
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn

from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer
from fairseq_lstmn.ops import backends

MEBIBYTE = 2**20
# a layer's first pass loads and compiles; on CUDA a graph is recorded in the second one
WARM_UP = {"cpu": 1, "cuda": 3}


class Timed(TypedDict):
    """What a layer took for a piece of work, in milliseconds of the wall and of the device."""

    layer: str
    work: str
    T: int
    wall_ms: float
    ms: float
    p20_ms: float
    p80_ms: float


class Row(Timed, total=False):
    """A row of the results, with the peak of memory where it was asked for."""

    peak_mib: float


class CellLoop(nn.Module):
    """An nn.LSTMCell in a Python loop, as in fairseq's LSTM decoder."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        state: tuple[Tensor, Tensor] | None = None
        outputs = []
        for step in x.unbind(dim=1):
            state = self.cell(step, state)
            outputs.append(state[0])
        return (torch.stack(outputs, dim=1),)


def contenders(options: argparse.Namespace) -> dict[str, Callable[[], nn.Module]]:
    """Name -> a function that makes the layer; ``reference`` is plain autograd."""
    sizes = options.input, options.hidden
    found: dict[str, Callable[[], nn.Module]] = {
        "nn.LSTM": lambda: nn.LSTM(*sizes, batch_first=True),
        "nn.LSTMCell loop": lambda: CellLoop(*sizes),
    }
    for name, obstacle in backends.report(options.device):
        if obstacle is None and name in options.backends:
            found[f"lstmn {name}"] = partial(
                LSTMNLayer, *sizes, memory_span=options.memory_span, backend=name
            )
    return found


class Job:
    """A layer, its input and what it is asked for."""

    def __init__(
        self, make: Callable[[], nn.Module], options: argparse.Namespace, steps: int
    ) -> None:
        torch.manual_seed(1)
        self.device = torch.device(options.device)
        dtype = getattr(torch, options.dtype)
        self.layer = make().to(self.device, dtype)
        x = torch.randn(options.batch, steps, options.input, device=self.device, dtype=dtype)
        self.x = x.requires_grad_()
        self.cotangent = torch.randn(*x.shape[:2], options.hidden, device=self.device, dtype=dtype)

    def forward(self) -> float:
        with torch.no_grad():
            outputs: Tensor = self.layer(self.x)[0]
            return outputs.sum().item()

    def forward_backward(self) -> float:
        self.layer.zero_grad(set_to_none=True)
        self.x.grad = None
        torch.autograd.backward(self.layer(self.x)[0], self.cotangent)
        assert self.x.grad is not None
        return self.x.grad.sum().item()  # waits for the device, and the result is consumed


WORK = {"forward": Job.forward, "forward+backward": Job.forward_backward}


def processor_ms(work: Callable[[], object]) -> float:
    """The CPU time that ``work()`` takes this process."""
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


def device_ms(work: Callable[[], object]) -> float:
    """The time from before to after what ``work()`` launches on the current CUDA stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    passed: float = start.elapsed_time(end)
    return passed


CLOCKS = {"cpu": ("CPU", processor_ms), "cuda": ("CUDA", device_ms)}


def time_all(options: argparse.Namespace, steps: int) -> list[Row]:
    """Rows of wall milliseconds and those of the device's clock, the contenders interleaved."""
    jobs = {name: Job(make, options, steps) for name, make in contenders(options).items()}
    kind = torch.device(options.device).type
    _, clock = CLOCKS[kind]
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {
        (name, work): [] for work in WORK for name in jobs
    }
    for _ in range(WARM_UP[kind] + options.rounds):
        for (name, work), times in taken.items():
            wall = time.perf_counter()
            passed = clock(partial(WORK[work], jobs[name]))
            times.append((1000 * (time.perf_counter() - wall), passed))
    return [row(*about, steps, times[WARM_UP[kind] :]) for about, times in taken.items()]


def row(name: str, work: str, steps: int, times: Sequence[tuple[float, float]]) -> Row:
    """``times`` are (wall, clock) milliseconds of one round or more."""
    wall, passed = torch.tensor(times, dtype=torch.float64).T
    low, middle, high = passed.quantile(passed.new_tensor([0.2, 0.5, 0.8])).tolist()
    return {
        "layer": name,
        "work": work,
        "T": steps,
        "wall_ms": wall.quantile(0.5).item(),
        "ms": middle,
        "p20_ms": low,
        "p80_ms": high,
    }


def peak_memory(name: str, steps: int) -> float:
    """Peak extra MiB of forward+backward, measured in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name, str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak_memory(options: argparse.Namespace, name: str, steps: int) -> None:
    """On CUDA of as many passes as warm up: a recorded one keeps its memory from then on."""
    make = contenders(options)[name]
    Job(make, options, 2).forward_backward()  # libraries load and warm up outside the count
    job = Job(make, options, steps)
    on_cuda = job.device.type == "cuda"
    peak_mib = peak_allocated_mib if on_cuda else peak_resident_mib
    if on_cuda:
        torch.cuda.reset_peak_memory_stats()  # to what is there now
    before = peak_mib()
    for _ in range(WARM_UP[job.device.type]):
        job.forward_backward()
    print(peak_mib() - before)


def peak_allocated_mib() -> float:
    return torch.cuda.max_memory_allocated() / MEBIBYTE


def peak_resident_mib() -> float:
    """Linux's VmHWM; ru_maxrss would start from the parent process's peak."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def print_table(rows: Sequence[Row], clock: str) -> None:
    """``clock`` is the name of what the ratios are of."""
    fastest = {(row["T"], row["work"]): row["ms"] for row in rows if row["layer"] == "nn.LSTM"}
    print(f"| T | work | layer | wall ms | {clock} ms (p20..p80) | x nn.LSTM | peak extra MiB |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        ratio = row["ms"] / fastest[row["T"], row["work"]]
        memory = f"{row['peak_mib']:.0f}" if "peak_mib" in row else ""
        print(
            f"| {row['T']} | {row['work']} | {row['layer']} | {row['wall_ms']:.0f} "
            f"| {row['ms']:.0f} ({row['p20_ms']:.0f}..{row['p80_ms']:.0f}) "
            f"| {ratio:.2f} | {memory} |"
        )


def machine(options: argparse.Namespace) -> dict[str, object]:
    """Where the numbers come from."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = named[1] if named else platform.machine()
    if options.device != "cpu":
        processor = torch.cuda.get_device_name(options.device)
    return {
        "processor": processor,
        "threads": options.threads,
        "torch": torch.__version__,
        "commit": commit or "unknown",
        "sizes": {
            key: getattr(options, key)
            for key in ("batch", "input", "hidden", "memory_span", "dtype")
        },
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=40, help="B")
    parser.add_argument("--steps", type=int, nargs="+", default=[35, 70, 200], help="T")
    parser.add_argument("--input", type=int, default=150, help="D")
    parser.add_argument("--hidden", type=int, default=300, help="H")
    parser.add_argument("--memory-span", type=int, default=0, help="of the LSTMN; 0 = unbounded")
    names = list(backends.BACKENDS)
    parser.add_argument("--backends", nargs="+", choices=names, default=names, help="of the LSTMN")
    parser.add_argument("--dtype", choices=["float32", "float64", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=5, help="counted ones, after those that warm up"
    )
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        name, steps = options.memory_of
        return print_peak_memory(options, name, int(steps))
    about = machine(options)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    rows: list[Row] = []
    for steps in options.steps:
        rows += time_all(options, steps)
    for row in rows:
        if row["work"] == "forward+backward":
            row["peak_mib"] = peak_memory(row["layer"], row["T"])
    clock, _ = CLOCKS[torch.device(options.device).type]
    print_table(rows, clock)
    if options.json:
        made = {"machine": about, "clock": clock, "rows": rows}
        options.json.write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
