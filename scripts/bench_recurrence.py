#!/usr/bin/env python3
"""Time and peak memory of one recurrent layer: every LSTMN backend against the LSTMs of torch.

All contenders read the same (B, T, D) input, project it themselves and are asked for the
gradients of their input and weights. Rounds are interleaved: each runs every contender once.

    python scripts/bench_recurrence.py --steps 35 70 200 --json bench.json
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer
from fairseq_lstmn.ops import backends

MEBIBYTE = 2**20


class CellLoop(nn.Module):
    """An nn.LSTMCell in a Python loop, as in fairseq's LSTM decoder."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size)

    def forward(self, x):
        state, outputs = None, []
        for step in x.unbind(dim=1):
            state = self.cell(step, state)
            outputs.append(state[0])
        return (torch.stack(outputs, dim=1),)


def contenders(options):
    """Name -> a function that makes the layer; ``reference`` is plain autograd."""
    sizes = options.input, options.hidden
    found = {
        "nn.LSTM": lambda: nn.LSTM(*sizes, batch_first=True),
        "nn.LSTMCell loop": lambda: CellLoop(*sizes),
    }
    for name, obstacle in backends.report(options.device):
        if obstacle is None and name in options.backends:
            found[f"lstmn {name}"] = lambda name=name: LSTMNLayer(
                *sizes, memory_span=options.memory_span, backend=name
            )
    return found


class Job:
    """A layer, its input and what it is asked for."""

    def __init__(self, make, options, steps):
        torch.manual_seed(1)
        self.device = torch.device(options.device)
        dtype = getattr(torch, options.dtype)
        self.layer = make().to(self.device, dtype)
        x = torch.randn(options.batch, steps, options.input, device=self.device, dtype=dtype)
        self.x = x.requires_grad_()
        self.cotangent = torch.randn(*x.shape[:2], options.hidden, device=self.device, dtype=dtype)

    def forward(self):
        with torch.no_grad():
            return self.layer(self.x)[0].sum().item()

    def forward_backward(self):
        self.layer.zero_grad(set_to_none=True)
        self.x.grad = None
        torch.autograd.backward(self.layer(self.x)[0], self.cotangent)
        return self.x.grad.sum().item()  # waits for the device, and the result is consumed


WORK = {"forward": Job.forward, "forward+backward": Job.forward_backward}


def time_all(options, steps):
    """Rows of wall and process CPU milliseconds, the contenders interleaved."""
    jobs = {name: Job(make, options, steps) for name, make in contenders(options).items()}
    taken = {(name, work): [] for work in WORK for name in jobs}
    for _ in range(1 + options.rounds):  # the first one warms up
        for (name, work), times in taken.items():
            wall, cpu = time.perf_counter(), time.process_time()
            WORK[work](jobs[name])
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return [row(name, work, steps, times[1:]) for (name, work), times in taken.items()]


def row(name, work, steps, times):
    wall, cpu = ([1000 * seconds for seconds in column] for column in zip(*times))
    low, middle, high = (statistics.quantiles(cpu, n=10)[k] for k in (1, 4, 7))
    return {
        "layer": name,
        "work": work,
        "T": steps,
        "wall_ms": statistics.median(wall),
        "cpu_ms": middle,
        "cpu_p20_ms": low,
        "cpu_p80_ms": high,
    }


def peak_memory(name, steps):
    """Peak extra MiB of one forward+backward, measured in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name, str(steps)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak_memory(options, name, steps):
    make = contenders(options)[name]
    Job(make, options, 2).forward_backward()  # libraries load and warm up outside the count
    job = Job(make, options, steps)
    if job.device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        job.forward_backward()
        print((torch.cuda.max_memory_allocated() - before) / MEBIBYTE)
    else:
        before = peak_resident_mib()
        job.forward_backward()
        print(peak_resident_mib() - before)


def peak_resident_mib():
    """Linux's VmHWM; ru_maxrss would start from the parent process's peak."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def print_table(rows):
    fastest = {(row["T"], row["work"]): row["cpu_ms"] for row in rows if row["layer"] == "nn.LSTM"}
    print("| T | work | layer | wall ms | CPU ms (p20..p80) | x nn.LSTM | peak extra MiB |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        ratio = row["cpu_ms"] / fastest[row["T"], row["work"]]
        memory = f"{row['peak_mib']:.0f}" if "peak_mib" in row else ""
        print(
            f"| {row['T']} | {row['work']} | {row['layer']} | {row['wall_ms']:.0f} "
            f"| {row['cpu_ms']:.0f} ({row['cpu_p20_ms']:.0f}..{row['cpu_p80_ms']:.0f}) "
            f"| {ratio:.2f} | {memory} |"
        )


def machine(options):
    """Where the numbers come from."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    processor = processor.group(1) if processor else platform.machine()
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


def parse():
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
    parser.add_argument("--rounds", type=int, default=5, help="counted ones, after a warm-up")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        name, steps = options.memory_of
        return print_peak_memory(options, name, int(steps))
    about = machine(options)
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    rows = []
    for steps in options.steps:
        rows += time_all(options, steps)
    for row in rows:
        if row["work"] == "forward+backward":
            row["peak_mib"] = peak_memory(row["layer"], row["T"])
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
