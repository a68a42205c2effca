"""What is asked of CUDA when passes are recorded and launched, by a stand-in that keeps a log."""

from contextlib import contextmanager

import pytest
import torch

from fairseq_lstmn.ops.triton import cuda_graphs, graphs

DEVICE = torch.device("cuda", 0)


class Stream:
    def __init__(self, log, name):
        self.log, self.name = log, name

    def wait_event(self, event):
        self.log.append(f"{self.name} waits for {event.where}")

    def wait_stream(self, stream):
        self.log.append(f"{self.name} waits for {stream.name}")


class Event:
    where = "nothing"

    def record(self, stream):
        self.where = f"{stream.name} as of {len(stream.log)}"

    def synchronize(self):
        pass


class CUDAGraph:
    def replay(self):
        pass


class MemPool:
    made = 0

    def __init__(self):
        MemPool.made += 1
        self.id = 0, MemPool.made


class FakeCuda:
    """``torch.cuda``'s part in graphs; streams are numbered as they are made."""

    def __init__(self, monkeypatch):
        self.log, self.made, self.fails = [], 0, False
        self.main = self.current = self.Stream()
        self.Event, self.CUDAGraph, self.MemPool = Event, CUDAGraph, MemPool
        monkeypatch.setattr(MemPool, "made", 0)
        streams = "Stream", "Event", "current_stream", "stream"
        for name in (*streams, "CUDAGraph", "MemPool", "use_mem_pool", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def Stream(self, device=None):
        self.made += 1
        return Stream(self.log, f"stream {self.made}")

    def current_stream(self, device):
        return self.current

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def use_mem_pool(self, pool, device):
        assert device == DEVICE
        self.log.append(f"memory comes from pool {pool.id[1]}")
        yield
        self.log.append("memory comes from anywhere")

    @contextmanager
    def graph(self, graph, pool, stream, capture_error_mode):
        self.log.append(f"{stream.name} records in pool {pool[1]}")
        try:
            yield
        finally:
            if self.fails:
                raise RuntimeError("the capture was invalidated")


@pytest.fixture
def cuda(monkeypatch):
    return FakeCuda(monkeypatch)


def test_a_turn_waits_for_the_one_before_on_another_stream(cuda):
    device = cuda_graphs.Cuda(DEVICE)
    other = torch.cuda.Stream()
    with device.in_turn():
        cuda.log.append("stream 1 launches and copies")
    with torch.cuda.stream(other), device.in_turn():
        cuda.log.append("stream 2 launches and copies")
    assert cuda.log == [
        "stream 1 waits for nothing",
        "stream 1 launches and copies",
        "stream 2 waits for stream 1 as of 2",
        "stream 2 launches and copies",
    ]


def test_a_turn_that_fails_is_waited_for_as_well(cuda):
    device = cuda_graphs.Cuda(DEVICE)
    with pytest.raises(ValueError), device.in_turn():
        cuda.log.append("stream 1 launches")
        raise ValueError
    with device.in_turn():
        assert cuda.log[-1] == "stream 1 waits for stream 1 as of 2"


def recorded(stream, pool):
    """The log of a recording there; what comes first, cuBLAS's workspace too, is in the pool."""
    return [
        f"{stream} waits for stream 1",
        f"memory comes from pool {pool}",
        f"{stream} runs",
        "memory comes from anywhere",
        f"{stream} records in pool {pool}",
        f"{stream} runs",
        f"stream 1 waits for {stream}",
    ]


def run_on(cuda):
    return lambda: cuda.log.append(f"{cuda.current.name} runs")


def test_recordings_use_one_stream_and_one_pool(cuda):
    device = cuda_graphs.Cuda(DEVICE)
    for _ in range(2):
        device.record(run_on(cuda))()
    assert cuda.log == 2 * recorded("stream 2", pool=1)


def test_recordings_that_were_freed_leave_their_stream_and_pool(cuda):
    """Where a workspace may be that goes with them."""
    device = cuda_graphs.Cuda(DEVICE)
    device.record(run_on(cuda))
    device.free()
    device.record(run_on(cuda))
    assert cuda.log == recorded("stream 2", pool=1) + recorded("stream 3", pool=2)


def test_a_recording_that_fails_leaves_the_current_stream_and_its_own_behind(
    cuda, caplog, monkeypatch
):
    monkeypatch.setattr(cuda_graphs, "is_capturing", lambda device: False)
    cuda.fails = True
    recorder = graphs.Graphs(cuda_graphs.Cuda(DEVICE))
    for _ in range(2):
        assert recorder.run(abs, (-1,), (-1,), abs) == 1
    assert "RuntimeError: the capture was invalidated" in caplog.text
    assert cuda.current is cuda.main
    assert not cuda_graphs.RECORDING.locked()
    cuda.fails = False
    recorder.device.record(run_on(cuda))
    assert cuda.log[-7:] == recorded("stream 3", pool=2)


def test_within_a_capture_the_pass_goes_into_it(cuda, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "is_capturing", lambda device: device == DEVICE)
    recorder = graphs.Graphs(cuda_graphs.Cuda(DEVICE))
    for _ in range(3):
        assert recorder.run(abs, (-1,), (-1,), abs) == 1
    assert cuda.log == []


def test_free_graphs(cuda, monkeypatch):
    monkeypatch.setattr(graphs, "_graphs", {})
    first, second = (graphs.graphs_of(torch.device("cuda", number)) for number in (0, 1))
    assert first is graphs.graphs_of(DEVICE) and first is not second
    freed = []
    for number, recorder in enumerate((first, second)):
        monkeypatch.setattr(recorder, "free", lambda number=number: freed.append(number))
    graphs.free_graphs("cuda:1")
    graphs.free_graphs("cuda")
    graphs.free_graphs()
    assert freed == [1, 0, 1, 0, 1]


def test_a_capture_under_way_is_noticed_on_the_device_in_question(monkeypatch):
    current = []

    @contextmanager
    def device(number):
        current.append(number)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: current == [DEVICE])
    assert cuda_graphs.is_capturing(DEVICE)
    assert not cuda_graphs.is_capturing(torch.device("cuda", 1))


def test_products_in_tf32_are_told_apart():
    exact = torch.get_float32_matmul_precision()
    before = cuda_graphs.precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert cuda_graphs.precision() != before
    finally:
        torch.set_float32_matmul_precision(exact)
