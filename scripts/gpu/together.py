"""What shares a device: passes that give way to others, streams, threads, DistributedDataParallel.

All is held against the same layers by themselves, without graphs.
"""

import os
import tempfile
from threading import Thread
from typing import Any

import torch
from cases import (
    Cases,
    Named,
    Sizes,
    arguments,
    device_of,
    header,
    results_and_gradients,
    to,
    worst,
)

from fairseq_lstmn.ops import free_graphs, lstmn
from fairseq_lstmn.ops.selfcheck import LIMIT
from fairseq_lstmn.ops.triton import graphs


def layer_sizes(cpu: bool, steps: int) -> Sizes:
    return Sizes(1, steps, 3) if cpu else Sizes(16, 8 * steps, 300)


def pair(sizes: Sizes, seed: int, device: torch.device) -> tuple[Named, Named]:
    """What there is in graphs, and without.

    On the CPU by plain torch, as Triton's interpreter works for one thread at a time.
    """
    in_graphs, without = "triton", "triton_eager"
    if device.type == "cpu":
        in_graphs = without = "recompute"
    of = to(arguments(sizes, seed), device, torch.float32)
    return results_and_gradients(of, in_graphs), results_and_gradients(of, without)


def giving_way(cpu: bool) -> None:
    """Twice as many shapes as are kept, in turn, with products of matrices in all of them."""
    device, cases = device_of(cpu), Cases()
    graphs.LIMIT, graphs.IDLE = 4, 4  # passes kept, and calls until one may give way
    shapes = range(1, 3 if cpu else 9)
    header("shape, in turn", "largest error", "of", "")
    for turn in range(3):
        for steps in shapes:
            # the third time it is replayed
            for again in range(3):
                name = f"{layer_sizes(cpu, steps)}, turn {turn + 1}"
                with cases.case(name):
                    seed = turn * 10 + again
                    error, what = worst(*pair(layer_sizes(cpu, steps), seed, device))
                    if again == 2:
                        cases.judge(name, error, LIMIT, what)
    free_graphs()
    cases.end()


def two_streams(cpu: bool) -> None:
    """Layers in turn on two streams, whose results are looked at when all are under way."""
    device, cases = device_of(cpu), Cases()
    header("stream", "largest error", "of", "")
    streams = [None, None] if cpu else [torch.cuda.Stream(), torch.cuda.Stream()]
    pairs: list[tuple[str, tuple[Named, Named]]] = []
    for turn in range(2 if cpu else 6):
        for number, stream in enumerate(streams):
            sizes = layer_sizes(cpu, 2 + number)
            with cases.case(f"stream {number}"), torch.cuda.stream(stream):
                pairs.append((f"{number}, turn {turn}", pair(sizes, turn, device)))
    if not cpu:
        torch.cuda.synchronize()
    for name, (actual, expected) in pairs:
        error, what = worst(actual, expected)
        cases.judge(name, error, LIMIT, what)
    cases.end()


def two_threads(cpu: bool) -> None:
    """Two threads that train at the same time."""
    device, cases = device_of(cpu), Cases()
    header("thread", "largest error", "of", "")

    def work(number: int) -> None:
        for turn in range(2 if cpu else 6):
            with cases.case(f"thread {number}"):
                sizes = layer_sizes(cpu, 2 + number)
                error, what = worst(*pair(sizes, 10 * number + turn, device))
                cases.judge(f"{number}, turn {turn}", error, LIMIT, what)

    threads = [Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cases.end()


class Layer(torch.nn.Module):
    """``lstmn`` with its weights for parameters."""

    def __init__(self, of: dict[str, Any]) -> None:
        super().__init__()
        weights = of["weights"]
        parts = [torch.nn.Parameter(part) for part in weights if part is not None]
        self.parts, self.kind = torch.nn.ParameterList(parts), type(weights)

    def forward(self, query_inputs: torch.Tensor, gate_inputs: torch.Tensor) -> torch.Tensor:
        return lstmn(query_inputs, gate_inputs, self.kind(*self.parts), backend="triton")[0]


def ddp(cpu: bool) -> None:
    """Gradients of a layer's weights within DistributedDataParallel are those without it."""
    device, cases = device_of(cpu), Cases()
    os.environ.update(NCCL_P2P_DISABLE="1")
    store = tempfile.NamedTemporaryFile(suffix=".store")
    torch.distributed.init_process_group(
        *("gloo" if cpu else "nccl", f"file://{store.name}"), rank=0, world_size=1
    )
    header("update", "largest error", "of", "")
    of = to(arguments(layer_sizes(cpu, 3)), device, torch.float32)
    alone = Layer(of)
    wrapped = torch.nn.parallel.DistributedDataParallel(Layer(of))
    for update in range(4):
        with cases.case(f"update {update}"):
            inputs = to(arguments(layer_sizes(cpu, 3), update), device, torch.float32)
            both = []
            for layer in (alone, wrapped):
                layer.zero_grad()
                layer(inputs["query_inputs"], inputs["gate_inputs"]).square().sum().backward()
                gradients = [part.grad for part in layer.parameters() if part.grad is not None]
                both.append({f"weight {n}": part.clone() for n, part in enumerate(gradients)})
            error, what = worst(both[1], both[0])
            cases.judge(f"{update}", error, LIMIT, what)
    torch.distributed.destroy_process_group()
    cases.end()
