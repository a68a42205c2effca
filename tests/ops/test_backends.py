"""Which backend runs: a named one or none, and what ``auto`` makes of those that lie, raise, or do
not come back.
"""

import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier, Event

import pytest
import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import backends, lstmn, reference, selfcheck, triton
from fairseq_lstmn.ops.passes import autograd, operators, step_kernels
from fairseq_lstmn.ops.passes.recompute import Recompute
from fairseq_lstmn.ops.triton import buckets

from .cases import assert_close, build, run
from .test_graphs import StandIn

PACKAGE_PARENT = Path(backends.__file__).parents[2]


@pytest.fixture
def recompute_unavailable(monkeypatch):
    broken = backends.BACKENDS["recompute"]._replace(obstacle=lambda device: "it is not built")
    monkeypatch.setitem(backends.BACKENDS, "recompute", broken)


def test_torch_alone_runs_these_two():
    assert {("reference", None), ("recompute", None)} <= set(backends.report())


def test_a_named_backend_that_cannot_run_raises_with_the_reason(recompute_unavailable):
    assert ("recompute", "it is not built") in backends.report()
    with pytest.raises(InputError, match="recompute.*it is not built"):
        lstmn(**build(), backend="recompute")


def test_auto_passes_over_a_backend_that_cannot_run(recompute_unavailable):
    able = [name for name, obstacle in backends.report() if obstacle is None]
    assert "recompute" not in able
    assert_close(run(build(), "auto"), run(build(), able[0]), 0)


def test_auto_takes_the_fastest_that_can_run(monkeypatch):
    """``report`` lists the fastest first, and the reference, slow on purpose, last."""
    names = [name for name, obstacle in backends.report() if obstacle is None]
    assert names[-1] == "reference"
    taken = []
    for name in names:
        backend = backends.BACKENDS[name]

        def layer(*args, name=name, backend=backend):
            taken.append(name)
            return backend.layer(*args)

        monkeypatch.setitem(backends.BACKENDS, name, backend._replace(layer=layer))
    lstmn(**build())
    assert taken == [names[0]]


def test_auto_looks_for_triton_once(monkeypatch):
    """As whoever steps through a sentence token by token calls it thousands of times."""
    triton.obstacle(torch.device("cuda"))
    monkeypatch.setattr(triton, "find_spec", lambda name: pytest.fail("it is looked for anew"))
    triton.obstacle(torch.device("cuda"))


def test_auto_logs_its_choice_once_and_needs_torch_only():
    program = """
import logging, sys
sys.modules["fairseq"] = None  # as where it is not installed
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
import torch
from fairseq_lstmn.ops import Weights, lstmn
square = torch.ones(2, 2)
weights = Weights(square, square, torch.ones(2), torch.ones(8, 2))
for steps in (1, 2, 3):
    lstmn(torch.ones(1, steps, 2), torch.ones(1, steps, 8), weights)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE_PARENT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    said = [line for line in ended.stdout.splitlines() if line.startswith("fairseq_lstmn")]
    assert len(said) == 1
    able = [name for name, obstacle in backends.report() if obstacle is None]
    assert "backend" in said[0] and able[0] in said[0]


CPU = torch.device("cpu")


def honest(inputs):
    return autograd.layer("recompute", inputs)


class Scaled(torch.autograd.Function):
    """The identity with ``factor`` times its gradient."""

    @staticmethod
    def forward(ctx, tensor, factor):
        ctx.factor = factor
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.factor * gradient, None


def with_gradient_of(name, factor, inputs):
    """``honest``, but for the gradient of one tensor."""
    part, _, field = name.partition(".")
    holder = getattr(inputs, part)
    if not field:
        return honest(inputs._replace(**{part: Scaled.apply(holder, factor)}))
    tensor = Scaled.apply(getattr(holder, field), factor)
    return honest(inputs._replace(**{part: holder._replace(**{field: tensor})}))


def wrong_sign(inputs):
    made = honest(inputs)
    return made._replace(hidden=-made.hidden)


def nan_in_one_place(inputs):
    """Whose gradients are right."""
    made = honest(inputs)
    nan = torch.zeros_like(made.memory)
    nan[0, -1, 0] = float("nan")
    return made._replace(memory=made.memory + nan)


def blind_to_the_mask(inputs):
    source = inputs.source
    return honest(inputs._replace(source=source._replace(mask=torch.ones_like(source.mask))))


LIES = {
    "wrong sign": wrong_sign,
    "NaN": nan_in_one_place,
    "mask": blind_to_the_mask,
    "span": lambda inputs: honest(inputs._replace(memory_span=0)),
    "bias": lambda inputs: honest(inputs._replace(distance_bias=None)),
    **{
        f"gradient of {name}": partial(with_gradient_of, name, 1.001)
        for name in (
            *("query_inputs", "gate_inputs", "distance_bias", "tape.summary", "tape.keys"),
            *("weights.key", "weights.score", "weights.source_gate", "source.slots"),
        )
    },
}


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(selfcheck, "_verdicts", {})
    monkeypatch.setattr(backends, "_announced", set())
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:  # of a check that was not waited for
        thread.join()


@pytest.fixture
def put(monkeypatch):
    """``put(triton=..., triton_eager=...)``: what computes a layer; none if not said."""

    def put(**layers):
        monkeypatch.setitem(
            backends.BACKENDS, "cpp", backends.BACKENDS["cpp"]._replace(obstacle=lambda _: "absent")
        )
        for name in ("triton", "triton_eager"):
            changed = backends.BACKENDS[name]._replace(
                layer=layers.get(name),
                obstacle=lambda _, able=name in layers: None if able else "no",
            )
            monkeypatch.setitem(backends.BACKENDS, name, changed)

    return put


def chosen(caplog):
    """What ``auto`` takes, asked twice, and its warnings."""
    caplog.set_level(logging.INFO)
    names = {backends.choose("auto", CPU) for _ in range(2)}
    assert len(names) == 1
    assert [record.name for record in caplog.records].count(backends.__name__) == 1
    return names.pop(), [line.getMessage() for line in caplog.records if line.levelname != "INFO"]


def test_an_honest_backend_is_taken(put, caplog):
    put(triton=honest, triton_eager=honest)
    assert chosen(caplog) == ("triton", [])
    assert set(selfcheck._verdicts) == {("triton", CPU)}


@pytest.mark.parametrize("lie", LIES)
def test_a_backend_that_lies_is_passed_over(put, caplog, lie):
    put(triton=LIES[lie])
    name, (warning,) = chosen(caplog)
    assert name == "recompute"
    assert "triton computes a wrong" in warning and "report" in warning and "\n" not in warning


def test_the_layer_has_every_part_in_it():
    """No result and no gradient vanishes: none would be missed if it were wrong."""
    for part in selfcheck.compute(reference.layer, CPU, 0).values():
        assert part.square().mean().sqrt() > 0.05
    assert backends.verdict("reference", CPU).worst()[1] < 1e-5  # measured 1.2e-6


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("Failed to find C compiler.\nPlease specify"),
        torch.OutOfMemoryError("CUDA out of memory"),
        ImportError("DLL load failed"),
        InputError("no"),
        AssertionError(),
        SystemExit(1),
        KeyboardInterrupt(),
        BaseException("anything"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_backend_that_raises_is_passed_over(put, caplog, raised):
    def steps(inputs):
        raise raised

    put(triton=steps, triton_eager=steps)
    name, (warning,) = chosen(caplog)
    assert name == "recompute"
    assert warning.count(f"raises {type(raised).__name__}") == 2 and "\n" not in warning
    assert_close(run(build(), "auto"), run(build(), "recompute"), 0)
    with pytest.raises(type(raised)):
        lstmn(**build(), backend="triton")


def test_a_backend_that_hangs_is_passed_over(put, caplog, monkeypatch):
    monkeypatch.setattr(selfcheck, "PATIENCE", 0.1)
    released = Event()
    put(triton=lambda inputs: released.wait())
    name, (warning,) = chosen(caplog)
    released.set()
    assert name == "recompute" and "does not end within 0.1 seconds" in warning


class Recorder(StandIn):
    """Its recordings fail in one way or another."""

    def __init__(self, fails):
        super().__init__()
        self.fails = fails

    def record(self, function):
        if self.fails == "raise":
            raise RuntimeError("operation not permitted when stream is capturing")
        if self.fails == "left open":
            self.capturing = True
            raise RuntimeError("capture was not joined")
        if self.fails == "hang":
            Event().wait(20)
        made = super().record(function)
        return (lambda: None) if self.fails == "replay nothing" else made


def chosen_with(fails, put, caplog, monkeypatch):
    """The backend, the warnings and the ``Graphs`` of a ``Recorder``."""
    recorder = Recorder(fails).graphs
    kernels = buckets.InGraphs(Recompute(step_kernels), lambda device: recorder)
    monkeypatch.setitem(operators.KERNELS, "recorded", lambda: kernels)
    put(triton=partial(backends.in_graphs, "recorded", "recompute"), triton_eager=honest)
    return *chosen(caplog), recorder


@pytest.mark.parametrize("fails", ["hang", "replay nothing"])
def test_triton_goes_without_graphs_if_these_are_wrong(put, caplog, monkeypatch, fails):
    if fails == "hang":
        monkeypatch.setattr(selfcheck, "PATIENCE", 3)
    name, warnings, _ = chosen_with(fails, put, caplog, monkeypatch)
    assert name == "triton_eager" and len(warnings) == 1


@pytest.mark.parametrize("fails", ["raise", "left open", None])
def test_triton_records_graphs_if_it_can(put, caplog, monkeypatch, fails):
    name, warnings, recorder = chosen_with(fails, put, caplog, monkeypatch)
    assert name == "triton"
    assert len(warnings) == (1 if fails else 0)
    assert len(recorder.recorded) == (0 if fails else 2)  # which were launched


def test_the_callers_modes_do_not_reach_it(put, caplog):
    put(triton=honest)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        assert chosen(caplog) == ("triton", [])


def test_random_numbers_stay_as_they_were(put):
    put(triton=honest)
    before = torch.get_rng_state()
    backends.choose("auto", CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_that_come_at_once_find_one_verdict(put, caplog):
    caplog.set_level(logging.INFO)
    calls = []

    def steps(inputs):
        calls.append(inputs)
        raise RuntimeError

    put(triton=steps)
    start = Barrier(8)

    def choose(_):
        start.wait()
        return backends.choose("auto", CPU)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(choose, range(8))) == {"recompute"}
    assert len(calls) == 1 and len(caplog.records) == 1


def test_it_waits_until_nothing_is_recorded(put, monkeypatch):
    put(triton=honest)
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(selfcheck, "examine", lambda *of: selfcheck.Verdict({}))
    monkeypatch.setattr(selfcheck, "is_capturing", lambda device: device == cuda)
    assert backends.choose("auto", cuda) == "recompute"
    monkeypatch.setattr(selfcheck, "is_capturing", lambda device: False)
    assert backends.choose("auto", cuda) == "triton"
    monkeypatch.setattr(selfcheck, "is_capturing", lambda device: True)
    assert backends.choose("auto", cuda) == "triton"


def test_products_in_tf32_are_held_to_less(put, monkeypatch):
    put(triton=partial(with_gradient_of, "weights.key", 1.001))
    monkeypatch.setattr(selfcheck, "precision", lambda: "tf32")
    assert backends.choose("auto", CPU) == "triton"
