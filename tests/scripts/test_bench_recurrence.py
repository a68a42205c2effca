"""scripts/bench_recurrence.py on tiny layers, and how it would measure on a device."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_recurrence.py"
TINY = "--batch 2 --input 4 --hidden 4 --steps 3 --backends recompute".split()


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench_recurrence", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def options(bench, monkeypatch):
    def of(*more):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *TINY, *more])
        return bench.parse()

    return of


def test_a_single_round_has_a_spread_of_zero(bench, options, monkeypatch, tmp_path, capsys):
    options("--rounds", "1", "--json", str(tmp_path / "rows.json"))
    monkeypatch.setattr(bench, "peak_memory", lambda name, steps: 0.0)
    bench.main()
    made = json.loads((tmp_path / "rows.json").read_text())
    assert made["clock"] == "CPU" and "CPU ms (p20..p80)" in capsys.readouterr().out
    assert len(made["rows"]) == 6  # three layers, two passes
    assert all(row["p20_ms"] == row["ms"] == row["p80_ms"] > 0 for row in made["rows"])


def test_quantiles_of_the_rounds(bench):
    row = bench.row("layer", "forward", 3, [(10.0 * k, float(k)) for k in range(11)])
    assert [row[name] for name in ("wall_ms", "p20_ms", "ms", "p80_ms")] == [50, 2, 5, 8]


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_rounds_that_warm_up_do_not_count(bench, options, monkeypatch, kind):
    """Each kind of device has its own clock and its own number of them."""
    passed = iter(range(1000))
    clock = "its clock", lambda work: next(passed)
    monkeypatch.setattr(bench, "CLOCKS", {kind: clock})
    monkeypatch.setattr(bench, "Job", lambda make, options, steps: None)
    asked = options("--rounds", "1", "--device", f"{kind}:0")
    first, *_ = bench.time_all(asked, 3)
    works = 2 * len(bench.contenders(asked))
    assert kind == "cpu" or bench.WARM_UP[kind] > 2  # a pass that comes again becomes a graph
    assert first["ms"] == bench.WARM_UP[kind] * works


def test_the_device_is_timed_by_its_events(bench, monkeypatch):
    happened = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            happened.append(self)

        def record(self):
            happened.append("recorded")

        def synchronize(self):
            assert self is happened[1]
            happened.append("waited for")

        def elapsed_time(self, end):
            assert (self, end) == tuple(happened[:2])
            return 42.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    name, clock = bench.CLOCKS["cuda"]
    assert name == "CUDA" and clock(lambda: happened.append("work")) == 42
    assert happened[2:] == ["recorded", "work", "recorded", "waited for"]


def test_processor_time_is_not_that_of_sleep(bench):
    name, clock = bench.CLOCKS["cpu"]
    assert name == "CPU" and clock(lambda: bench.time.sleep(0.2)) < 100


def test_memory_on_the_processor(bench, options, capsys):
    bench.print_peak_memory(options(), "nn.LSTM", 3)
    assert float(capsys.readouterr().out) >= 0
