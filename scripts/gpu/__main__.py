"""Runs every part of the report in a process of its own, so that what one breaks stops no other.

python scripts/gpu [--cpu] [--report FILE] [PART ...]
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Part(NamedTuple):
    """A function of a module of this folder, which prints Markdown and exits 1 on a fault."""

    title: str
    module: str
    function: str
    seconds: int  # after which it is ended

    def run(self, cpu: bool) -> None:
        function: Callable[[bool], None] = getattr(import_module(self.module), self.function)
        function(cpu)


# what others rest on first, what takes longest last
PARTS = {
    "machine": Part("Machine and versions", "machine", "describe", 60),
    "kernels": Part("Each kernel against plain torch in float64", "kernels", "check", 180),
    "layers": Part("Layers against the reference in float64", "layers", "check", 240),
    "graphs": Part("Recorded passes that give way", "together", "giving_way", 120),
    "streams": Part("Two streams", "together", "two_streams", 60),
    "threads": Part("Two threads", "together", "two_threads", 60),
    "ddp": Part("DistributedDataParallel in one process", "together", "ddp", 90),
    "time": Part("Time of a layer", "timing", "table", 180),
    "profile": Part("Profile of ten updates", "timing", "profile", 90),
    "training": Part("Trainings of 200 updates", "training", "compare", 240),
    "tests": Part("The suite's tests on this device", "suite", "run", 240),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu.sh", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--cpu", action="store_true", help="small sizes, by Triton's interpreter")
    parser.add_argument("--report", type=Path, default=Path("gpu-report.md"))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}, choose from {', '.join(PARTS)}")
    options.parts = options.parts or list(PARTS)
    return options


def environment(cpu: bool) -> dict[str, str]:
    about = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    if cpu:
        about.update(TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
    return {**os.environ, **about}


def run(name: str, cpu: bool) -> tuple[bool, str]:
    """Whether the part ended without fault, and its section of the report."""
    part = PARTS[name]
    command = [sys.executable, str(HERE), name, "--inside", *(["--cpu"] if cpu else [])]
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(cpu)
    ) as process:
        try:
            output, errors = process.communicate(timeout=part.seconds)
            ended = f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            ended = f"ended after {part.seconds} seconds"
    well = process.returncode == 0
    lines = [f"## {part.title}", "", output.strip(), ""]
    if not well:
        lines += [f"**FAULT** ({ended}):", "", "```", errors.strip(), "```", ""]
    lines += [f"({time.monotonic() - began:.0f} s)", ""]
    return well, "\n".join(lines)


def main() -> None:
    options = parse()
    if options.inside:
        PARTS[options.parts[0]].run(options.cpu)
        return
    sections, faults = ["# The recurrence on a GPU", ""], []
    for name in options.parts:
        print(f"gpu: {PARTS[name].title} ...", file=sys.stderr, flush=True)
        well, section = run(name, options.cpu)
        if not well:
            faults.append(name)
        sections.append(section)
        options.report.write_text("\n".join(sections))
    verdict = f"Faults in: {', '.join(faults)}." if faults else "No faults."
    sections[1] = f"\n{verdict}\n"
    options.report.write_text("\n".join(sections))
    print(f"gpu: {verdict} {options.report}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
