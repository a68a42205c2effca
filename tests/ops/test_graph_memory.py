"""Which passes stay recorded, and what becomes of the memory of those that do not."""

import weakref

import pytest
import torch

from fairseq_lstmn.ops.triton import graphs

from .cases import DEVICE
from .recorders import counts, device_to_record_on


@pytest.fixture
def recorder():
    return graphs.Graphs(device_to_record_on())


def run_all(recorder, sizes):
    """``run`` a pass on (size,) twos for each of ``sizes``."""
    for size in sizes:
        two = torch.full((size,), 2.0, device=DEVICE)
        assert torch.equal(recorder.run(torch.square, two), two.square())


@pytest.fixture
def two_fit(recorder, monkeypatch):
    """A recorder of two passes that may give way after ten more calls."""
    recorder.limit = 2
    monkeypatch.setattr(graphs, "IDLE", 10)
    return recorder


def sizes_recorded(recorder):
    return [graph.arguments[0].numel() for graph in recorder.recorded.values()]


def test_passes_give_way_only_when_they_are_idle(two_fit):
    run_all(two_fit, [1, 1, 2, 2, 3, 3, 3])
    assert sizes_recorded(two_fit) == [1, 2]
    run_all(two_fit, [1] * 8 + [3])
    assert sizes_recorded(two_fit) == [1, 3]


def test_shapes_in_turn_do_not_drive_each_other_out(two_fit, monkeypatch):
    """A recording costs several launches: one for each of few is no gain."""
    records = []
    record = two_fit.device.record
    monkeypatch.setattr(
        two_fit.device, "record", lambda *given: records.append(given) or record(*given)
    )
    run_all(two_fit, [1, 2, 3, 4] * 50)
    assert len(records) == 2


def test_what_came_once_is_forgotten(two_fit):
    run_all(two_fit, range(1, 100))
    assert counts(two_fit) == (0, 10)


def test_memory_is_shared_and_freed(recorder):
    run_all(recorder, [1, 1, 2, 2])
    kept = [weakref.ref(part) for of in recorder.recorded.values() for part in memory(of)]
    assert len({graph.pool for graph in recorder.recorded.values()}) == 1
    recorder.free()
    assert counts(recorder) == (0, 0) and not any(part() is not None for part in kept)
    run_all(recorder, [2, 2])


def memory(graph):
    return [*graphs.tensors_in(graph.arguments), *graphs.tensors_in(graph.results)]


def test_a_pass_that_gives_way_frees_its_memory(two_fit):
    run_all(two_fit, [1, 1, 2, 2])
    kept = [weakref.ref(part) for part in memory(next(iter(two_fit.recorded.values())))]
    run_all(two_fit, [2] * 11 + [3, 3])
    assert sizes_recorded(two_fit) == [2, 3] and not any(part() is not None for part in kept)


def test_training_goes_on_when_recordings_fill_the_memory(recorder, monkeypatch):
    run_all(recorder, [1, 1, 2, 2])
    record = recorder.device.record

    def fill(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(recorder.device, "record", fill)
    run_all(recorder, [3, 3])
    assert sizes_recorded(recorder) == []
    monkeypatch.setattr(recorder.device, "record", record)
    run_all(recorder, [1, 1, 2, 2, 3, 3])
    assert sizes_recorded(recorder) == [1]


def test_a_recording_that_fails_otherwise_raises(recorder, monkeypatch):
    def fail(*args):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorder.device, "record", fail)
    run_all(recorder, [1])
    with pytest.raises(RuntimeError, match="not permitted"):
        run_all(recorder, [1])


@pytest.mark.skipif(DEVICE == "cuda", reason="looks into the stand-in")
def test_what_is_under_way_ends_before_its_memory_is_freed(two_fit):
    run_all(two_fit, [1, 1, 2, 2])
    assert two_fit.device.waited == 0
    run_all(two_fit, [2] * 11 + [3, 3])
    assert two_fit.device.waited == 1
    two_fit.free()
    assert two_fit.device.waited == 2
