"""Compiles Triton's kernels to machine code for CUDA devices, none of which has to be there.

Prints a line for each kernel: the device's compute capability, the numbers' type, the kernel.
Nothing is computed: every launch of a layer's forward and backward pass ends at the compiler.
"""

import os
from collections import defaultdict
from functools import partial

import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from fairseq_lstmn.ops.triton import triton_kernels  # noqa: F401  as it is without the interpreter

from .cases import MAY_BE_RAGGED, apply, build, gradients, run

BARE = dict(steps=3, width=300)
EVERYTHING = dict(BARE, prefix=2, source=3, ragged=MAY_BE_RAGGED, distances=2)
LONG = dict(EVERYTHING, prefix=200)  # a row is split over programs
launch = JITFunction.run


class Absent:
    """What Triton asks of the driver of a device before it launches a kernel."""

    def __init__(self, capability):
        self.capability = capability

    def get_current_device(self):
        return self.capability

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, warp_size=32)


def compile_only(kernel, *args, **options):
    made = launch(kernel, *args, **dict(options, warmup=True))
    assert made.asm["cubin"]
    compiled[kernel.__name__].add(made.hash)


JITFunction.run = compile_only
os.environ["TRITON_INTERPRET"] = "1"  # too late for the kernels, but lets the CPU's tensors in
for capability in (80, 90):
    driver.set_active(Absent(capability))
    for dtype in (torch.float32, torch.float64):
        compiled = defaultdict(set)
        for case in (BARE, EVERYTHING, LONG):
            arguments = apply(lambda tensor: tensor.to(dtype), build(**case))
            gradients(partial(run, backend="triton"), arguments)
            if case is BARE:
                expected = {"_cell": 2}  # the last step has no next one's query
                often = {
                    name: len(made)
                    for name, made in compiled.items()
                    if len(made) > expected.get(name, 1)
                }
                assert not often, f"steps that differ in their number are compiled apart: {often}"
        for name in sorted(compiled):
            print(capability, dtype, name)
