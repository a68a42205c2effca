"""Compiles Triton's kernels to machine code for devices, none of which has to be there.

    python -m tests.ops.compile_triton TARGET WIDTH TYPE

Prints JSON: of every kernel what it takes in the worst of its variants, and how many launches a
step takes. Nothing is computed: every launch of a layer's passes ends at the compiler.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path

import torch
import triton
from torch.utils._python_dispatch import TorchDispatchMode
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.passes.saved import SavedForBackward
from fairseq_lstmn.ops.prepare import fill_in
from fairseq_lstmn.ops.triton import kernels as kernels_on_device
from fairseq_lstmn.ops.triton import triton_kernels  # noqa: F401  as it is without the interpreter

from .cases import MAY_BE_RAGGED, apply, build, gradients, run

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, warp_size=32),
    "sm_90": GPUTarget("cuda", 90, warp_size=32),
    "sm_100": GPUTarget("cuda", 100, warp_size=32),
    "gfx942": GPUTarget("hip", "gfx942", warp_size=64),
}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
EVERYTHING = dict(steps=3, prefix=2, source=3, ragged=MAY_BE_RAGGED, distances=2)
LONG = dict(EVERYTHING, prefix=40, fusion="shallow")  # a row is split over programs
# what gives a tensor without running anything on a device
FREE = re.compile(r"aten::(empty|new_empty|_reshape_alias|detach|alias|lift_fresh|set_)")
launch = JITFunction.run


class Absent:
    """What Triton asks of the driver of a device before it launches a kernel."""

    def __init__(self, target):
        self.target = target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return self.target


class Launches(TorchDispatchMode):
    """Counts torch's operators that run on a device; a copy before a product is one more."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        self.count += not (function.is_view or FREE.match(name))
        if name == "aten::addmm" and "out" in function._schema.overload_name:
            self.count += 1
        return function(*args, **(kwargs or {}))


def compile_only(kernel, *args, **options):
    compiled[kernel.__name__].append(launch(kernel, *args, **dict(options, warmup=True)))
    counter.count += 1


def nvidia(code):
    """Registers a thread, and bytes that do not fit into them, by cuobjdump."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(code.asm["cubin"])
        cubin.flush()
        command = [TOOLS / "cuobjdump", "--dump-resource-usage", cubin.name]
        usage = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    widths = re.findall(r"ld\.global(?:\.\w+)*?(?:\.v(\d))?\.b(\d+) ", code.asm["ptx"])
    bits = [int(count or 1) * int(size) for count, size in widths]
    return numbers["REG"], numbers["STACK"] + numbers["LOCAL"], max(bits)


def amd(code):
    """The same of AMD's assembly."""
    assembly = code.asm["amdgcn"]
    spilled = re.findall(r"\.[sv]gpr_spill_count: *(\d+)", assembly)
    (registers,) = re.findall(r"\.vgpr_count: *(\d+)", assembly)
    words = re.findall(r"(?:global|buffer)_load_dwordx?(\d)?", assembly)
    return int(registers), sum(map(int, spilled)), 32 * max(int(count or 1) for count in words)


def launches(steps, width, dtype):
    """Of each pass of a layer with nothing but its own tape, which give ``hidden`` a gradient."""
    arguments = apply(lambda tensor: tensor.to(dtype), build(steps=steps, width=width))
    names = "query_inputs", "gate_inputs", "weights", "tape", "source", "memory_span"
    inputs = fill_in(Inputs(*(arguments[name] for name in names), None))
    kernels, counts = kernels_on_device(), []
    with counter, torch.no_grad():
        counter.count = 0
        activations = kernels.forward(inputs)
        counts.append(counter.count)
        results = Results(activations.results(width).hidden, *[None] * 6)
        counter.count = 0
        kernels.backward(SavedForBackward.of(inputs, activations), results)
        counts.append(counter.count)
    return counts


name, width, dtype = sys.argv[1], int(sys.argv[2]), getattr(torch, sys.argv[3])
JITFunction.run = compile_only
os.environ["TRITON_INTERPRET"] = "1"  # too late for the kernels, but lets the CPU's tensors in
driver.set_active(Absent(TARGETS[name]))
compiled, counter = defaultdict(list), Launches()
few, many = launches(3, width, dtype), launches(7, width, dtype)
forward, backward = ((more - less) / 4 for more, less in zip(many, few))
variants = {kernel: len({made.hash for made in of}) for kernel, of in compiled.items()}
for case in (EVERYTHING, LONG):
    arguments = apply(lambda tensor: tensor.to(dtype), build(**case, width=width))
    gradients(partial(run, backend="triton"), arguments)
measure = amd if name.startswith("gfx") else nvidia
kernels = {}
for kernel, of in sorted(compiled.items()):
    measured = [measure(code) for code in {made.hash: made for made in of}.values()]
    registers, spilled, bits = zip(*measured)
    kernels[kernel] = dict(registers=max(registers), spilled=max(spilled), bits=min(bits))
print(json.dumps(dict(forward=forward, backward=backward, variants=variants, kernels=kernels)))
