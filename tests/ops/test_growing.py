"""A GrowingTape grows in place, and nobody can tell but by the clock and the elements cast."""

import copy
import pickle
import threading
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import GrowingTape, Weights, backends, lstmn
from fairseq_lstmn.ops.backends import Backend

from .cases import MAY_BE_RAGGED, apply, build, flat
from .test_pieces import piece

EVERY_STEP = dict(steps=40, prefix=3, source=4, distances=2)


def read(arguments, backend, steps, tape):
    """Outputs (B, T, H) of ``steps``, fed one by one behind ``tape`` without gradients; and it."""
    found = []
    for t in steps:
        outputs, tape, _ = step(arguments, backend, t, tape)
        found.append(outputs)
    return torch.cat(found, dim=1), tape


def step(arguments, backend, t, tape):
    with torch.no_grad():
        return lstmn(**piece(arguments, tape, t, t + 1), backend=backend)


def assert_same(actual, expected, **limits):
    actual, expected = flat(actual), flat(expected)
    assert actual.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], **limits)


def of_rows(arguments, rows):
    """``arguments`` with ``rows`` for their rows; the tape's not."""
    names = ("query_inputs", "gate_inputs", "source")
    chosen = {name: apply(lambda part: part[rows], arguments[name]) for name in names}
    if arguments["source"] is not None and arguments["source"].mask is not None:
        chosen["source"] = chosen["source"]._replace(mask=arguments["source"].mask[rows])
    return {**arguments, **chosen}


@pytest.mark.parametrize("memory_span", [0, 5])
@pytest.mark.parametrize("ragged", [(), ("prefix", "source")], ids=["full", "ragged"])
def test_steps_in_place_equal_the_whole(backend, memory_span, ragged):
    arguments = build(**EVERY_STEP, memory_span=memory_span, ragged=ragged)
    growing = GrowingTape(arguments["tape"])
    found, same = read(arguments, backend, range(40), growing)
    with torch.no_grad():
        outputs, tape, _ = lstmn(**arguments, backend=backend)
    assert same is growing
    torch.testing.assert_close(found, outputs)
    assert_same(growing.tape(), tape)
    assert (tape.lengths is None) == (not ragged)
    torch.testing.assert_close(growing.tape().lengths, tape.lengths)


def test_it_starts_on_nothing_and_forgets_what_a_span_does_not_need(backend):
    arguments = build(steps=30, memory_span=4)
    growing = GrowingTape().latest(4).reorder(torch.tensor([0, 1]))
    assert growing.tape() is None
    for t in range(30):
        outputs, growing, _ = step(arguments, backend, t, growing)
        assert growing.latest(4) is growing
    with torch.no_grad():
        expected, tape, _ = lstmn(**arguments, backend=backend)
    torch.testing.assert_close(outputs, expected[:, 29:])
    assert_same(growing.tape(), tape.latest(4))


def test_rows_of_unequal_length_before_the_steps(backend):
    """As a batch of prompts of which each is then continued."""
    arguments = build(steps=9, prefix=2, source=3, ragged=MAY_BE_RAGGED, distances=2)
    ends = dict(arguments, lengths=None)
    growing, tape = GrowingTape(arguments["tape"]), arguments["tape"]
    with torch.no_grad():
        first, growing, _ = lstmn(**dict(arguments, tape=growing), backend=backend)
        expected, tape, _ = lstmn(**dict(arguments, tape=tape), backend=backend)
    torch.testing.assert_close(first, expected)
    actual, growing = read(ends, backend, range(9), growing)
    expected, tape = read(ends, backend, range(9), tape)
    torch.testing.assert_close(actual, expected)
    assert_same(growing.tape(), tape)


def test_what_it_is_made_of_and_what_it_shows_are_copies(backend):
    arguments = build(**EVERY_STEP)
    kept = apply(torch.clone, arguments["tape"])
    growing = GrowingTape(arguments["tape"])
    apply(torch.Tensor.zero_, arguments["tape"])
    read(arguments, backend, range(3), growing)
    shown = growing.tape()
    once, _ = read(arguments, backend, range(3, 6), GrowingTape(shown))
    apply(torch.Tensor.zero_, shown)
    again, _ = read(arguments, backend, range(3, 6), growing)
    expected, _ = read(arguments, backend, range(6), kept)
    torch.testing.assert_close(once, expected[:, 3:])
    torch.testing.assert_close(again, expected[:, 3:])


def test_writing_into_results_leaves_it_alone(backend):
    arguments = build(**EVERY_STEP)
    growing = GrowingTape(arguments["tape"])
    with torch.no_grad():
        outputs, growing, attention = lstmn(
            **dict(arguments, tape=growing), return_attention=True, backend=backend
        )
    kept = growing.tape()
    apply(lambda part: part.div_(0), {"outputs": outputs, "attention": attention})
    assert_same(growing.tape(), kept, rtol=0, atol=0)


@pytest.mark.parametrize("rows", [[0, 1, 2], [2, 2, 0, 1], [1]])
@pytest.mark.parametrize("steps", [0, 5])
def test_selected_rows_go_on_as_the_rows_they_were(backend, rows, steps):
    arguments = build(**EVERY_STEP, ragged=["prefix"])
    rows, growing = torch.tensor(rows), GrowingTape(arguments["tape"])
    for t in range(steps):
        step(arguments, backend, t, growing)
    tape = growing.tape()
    expected, _ = read(arguments, backend, [5], tape)
    assert growing.reorder(rows) is growing
    assert_same(growing.tape(), tape.reorder(rows), rtol=0, atol=0)
    assert torch.equal(growing.tape().lengths, tape.lengths[rows])
    actual, _ = read(of_rows(arguments, rows), backend, [5], growing)
    torch.testing.assert_close(actual, expected[rows])


def in_any_order(arguments, backend, steps, looks_at):
    """(growing, copied) after as many steps, between which rows change places and become fewer.

    Outputs are compared at every step, the tapes where ``looks_at(t)``.
    """
    torch.manual_seed(1)
    copied, growing = arguments["tape"], GrowingTape(arguments["tape"])
    batch = 6
    for t in range(steps):
        arguments = of_first(batch, arguments)
        actual = step(arguments, backend, t, growing)[0]
        expected, copied, _ = step(arguments, backend, t, copied)
        torch.testing.assert_close(actual, expected)
        smaller = batch - 1 if t in (10, 20) else batch
        rows, batch = torch.randint(0, batch, (smaller,)), smaller
        if span := arguments["memory_span"]:
            growing, copied = growing.latest(span), copied.latest(span)
        growing, copied = growing.reorder(rows), copied.reorder(rows)
        if looks_at(t):
            assert_same(growing.tape(), copied)
            torch.testing.assert_close(growing.tape().lengths, copied.lengths)
    return growing, copied


def of_first(batch, arguments):
    return apply(lambda part: part[:batch] if part.dim() == 3 else part, arguments)


@pytest.mark.parametrize("looks_at", [lambda t: True, lambda t: t % 7 == 6], ids=["always", "7th"])
@pytest.mark.parametrize("memory_span", [0, 5])
@pytest.mark.parametrize("ragged", [(), ("prefix",)], ids=["full", "ragged"])
def test_reordering_in_place_equals_copying(backend, memory_span, ragged, looks_at):
    arguments = build(batch=6, steps=30, prefix=3, memory_span=memory_span, ragged=ragged)
    growing, copied = in_any_order(arguments, backend, 30, looks_at)
    assert_same(growing.tape(), copied)


def goes_on(arguments, tape, backend="cpp", lengths=None, grad=False):
    """What a step of ``tape`` by other means than before results in."""
    with torch.set_grad_enabled(grad):
        outputs, tape, _ = lstmn(
            **dict(piece(arguments, tape, 12, 13), lengths=lengths), backend=backend
        )
    return dict(outputs=outputs, tape=tape.tape() if isinstance(tape, GrowingTape) else tape)


WAYS = {
    "another backend": dict(backend="recompute"),
    "the reference": dict(backend="reference"),
    "rows without a step": dict(lengths=torch.tensor([1, 0, 1, 1, 0])),
    "gradients": dict(grad=True),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_cannot_read_shared_slots_gets_every_row_its_own(way):
    arguments = build(batch=6, steps=30, prefix=3)
    growing, copied = in_any_order(arguments, "cpp", 12, lambda t: False)
    arguments = of_first(5, arguments)
    if way == "gradients":
        arguments = apply(lambda part: part.requires_grad_(part.is_floating_point()), arguments)
    assert growing._cache.authors is not None
    actual, expected = (goes_on(arguments, tape, **WAYS[way]) for tape in (growing, copied))
    assert_same(actual, expected)


def test_another_precision_gets_every_row_its_own():
    arguments = build(batch=6, steps=30, prefix=3)
    growing, copied = in_any_order(arguments, "cpp", 12, lambda t: False)
    single = apply(torch.Tensor.float, of_first(5, arguments))
    actual = step(single, "cpp", 12, growing)[0]
    expected = step(single, "cpp", 12, copied.map(torch.Tensor.float))[0]
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("memory_span", [0, 5])
def test_several_steps_at_once_read_shared_slots(memory_span):
    arguments = build(batch=6, steps=30, prefix=3)
    growing, copied = in_any_order(arguments, "cpp", 12, lambda t: False)
    more = {**of_first(5, arguments), "memory_span": memory_span}  # of 15 slots
    with torch.no_grad():
        actual, expected = (
            lstmn(**piece(more, tape, 12, 15), backend="cpp")[0] for tape in (growing, copied)
        )
    assert growing._cache.authors is not None
    torch.testing.assert_close(actual, expected)


def test_more_rows_than_ever_go_on():
    arguments = build(batch=6, steps=30, prefix=3)
    growing, copied = in_any_order(arguments, "cpp", 12, lambda t: False)
    rows = torch.tensor([4, 0, 0, 1, 2, 3, 4, 4])
    assert_same(growing.reorder(rows).tape(), copied.reorder(rows))


def test_rows_that_change_places_copy_no_slot():
    arguments = build(batch=3, steps=4, prefix=3)
    growing = GrowingTape(arguments["tape"])
    read(arguments, "cpp", range(3), growing)
    before = growing._cache.slots.clone()
    read(arguments, "cpp", [3], growing.reorder(torch.tensor([2, 0, 0])))
    assert torch.equal(growing._cache.slots[:, :6], before[:, :6])


def test_rows_that_are_not_there_change_nothing(backend):
    arguments = build(batch=3, steps=4, prefix=3)
    growing = GrowingTape(arguments["tape"])
    read(arguments, backend, range(3), growing)
    before = growing.tape()
    with pytest.raises((IndexError, RuntimeError)):
        growing.reorder(torch.tensor([0, 3]))
    assert_same(growing.tape(), before, rtol=0, atol=0)


def test_slots_are_seldom_copied(fast_backend):
    arguments = build(**EVERY_STEP)
    growing, places = GrowingTape(arguments["tape"]), set()
    for t in range(40):
        step(arguments, fast_backend, t, growing)
        places.add(growing._cache.slots.untyped_storage()._cdata)
    assert growing._cache.slots.size(1) == 79  # from 3 slots through caches for 20 and 39


def test_a_call_that_fails_leaves_it_as_it_was(fast_backend, monkeypatch):
    arguments = build(**EVERY_STEP)
    growing = GrowingTape(arguments["tape"])
    read(arguments, fast_backend, range(3), growing)
    kept = growing.tape()
    able = backends.BACKENDS[fast_backend]

    def breaks(inputs):
        able.layer(inputs)
        raise MemoryError

    monkeypatch.setitem(backends.BACKENDS, fast_backend, able._replace(layer=breaks))
    with pytest.raises(MemoryError):
        step(arguments, fast_backend, 9, growing)
    with pytest.raises(InputError, match="gate_inputs"):
        step(dict(arguments, gate_inputs=arguments["query_inputs"]), fast_backend, 3, growing)
    monkeypatch.undo()
    assert_same(growing.tape(), kept, rtol=0, atol=0)
    actual, _ = read(arguments, fast_backend, range(3, 6), growing)
    torch.testing.assert_close(actual, read(arguments, fast_backend, range(3, 6), kept)[0])


def test_a_second_thread_is_told(fast_backend, monkeypatch):
    arguments = build(**EVERY_STEP)
    growing = GrowingTape(arguments["tape"])
    able = backends.BACKENDS[fast_backend]
    inside, go_on = threading.Event(), threading.Event()

    def waits(inputs):
        inside.set()
        assert go_on.wait(10)
        return able.layer(inputs)

    monkeypatch.setitem(
        backends.BACKENDS, "reference", Backend(waits, lambda device: None, "waits")
    )
    found = []
    first = threading.Thread(
        target=lambda: found.append(step(arguments, "reference", 0, growing)[0])
    )
    first.start()
    assert inside.wait(10)
    uses = [
        lambda: step(arguments, fast_backend, 1, growing),
        lambda: growing.reorder(torch.tensor([0, 1, 2])),
        lambda: growing.latest(1),
        growing.tape,
    ]
    for use in uses:
        with pytest.raises(InputError, match="two threads") as raised:
            use()
        assert "\n" not in str(raised.value)
    go_on.set()
    first.join()
    torch.testing.assert_close(found[0], read(arguments, fast_backend, [0], arguments["tape"])[0])
    assert growing.tape().hidden.size(1) == 4


@pytest.mark.parametrize("first", [torch.inference_mode, torch.no_grad])
def test_it_goes_on_in_another_mode(backend, first):
    arguments = build(**EVERY_STEP)
    then = torch.no_grad if first is torch.inference_mode else torch.inference_mode
    rows = torch.tensor([1, 1, 0])
    growing, tape = GrowingTape(arguments["tape"]), arguments["tape"]
    for t in range(30):
        with (first if t % 4 < 2 else then)():
            actual, growing, _ = lstmn(**piece(arguments, growing, t, t + 1), backend=backend)
            growing = growing.reorder(rows)
        expected, tape = read(arguments, backend, [t], tape)
        tape = tape.reorder(rows)
        torch.testing.assert_close(actual, expected)
    with first():
        arguments = apply(torch.clone, arguments)
    actual, _ = read(arguments, backend, [30], growing)
    torch.testing.assert_close(actual, read(arguments, backend, [30], tape)[0])


@pytest.mark.parametrize("given, then", [("float", "double"), ("double", "float")])
def test_it_follows_the_inputs_precision(backend, given, then):
    arguments = build(**EVERY_STEP)
    other = apply(getattr(torch.Tensor, given), arguments)
    growing = GrowingTape(other["tape"])
    read(other, backend, range(2), growing)
    tape = growing.tape()
    arguments = apply(getattr(torch.Tensor, then), arguments)
    assert tape.hidden.dtype == other["query_inputs"].dtype
    actual, _ = read(arguments, backend, range(2, 4), growing)
    assert growing.tape().hidden.dtype == actual.dtype == arguments["query_inputs"].dtype
    torch.testing.assert_close(actual, read(arguments, backend, range(2, 4), tape)[0])


class Casts(TorchDispatchMode):
    """How many elements were cast to another precision."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._to_copy.default:
            self.elements += args[0].numel()
        return function(*args, **(kwargs or {}))


HALVES = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_casts_nothing_but_the_new_step(fast_backend, dtype):
    arguments = build(batch=4, steps=256, width=64, prefix=1, source=5, distances=3)
    arguments = apply(lambda part: part.to(dtype), arguments)
    growing = GrowingTape(arguments["tape"])
    actual, _ = read(arguments, fast_backend, range(255), growing)
    with Casts() as casts:
        step(arguments, fast_backend, 255, growing)
    # inputs of 5 H and of the source 2 H, outputs of H, for each row; were 434,000
    assert casts.elements == 4 * 8 * 64
    with torch.no_grad():
        expected, _, _ = lstmn(**arguments, backend=fast_backend)
    limits = dict(rtol=2 * torch.finfo(dtype).eps, atol=1e-3 * torch.finfo(dtype).eps)
    torch.testing.assert_close(actual, expected[:, :255], **limits)


@pytest.mark.parametrize("field", ["key", "summary_gates", "source_gate"])
@pytest.mark.parametrize("how", ["written into", "another", "of inference mode"])
def test_weights_that_change_are_cast_again(field, how):
    with torch.inference_mode() if how == "of inference mode" else nullcontext():
        arguments = apply(torch.Tensor.half, build(steps=4, prefix=1, source=2))
    growing = GrowingTape(arguments["tape"])
    read(arguments, "recompute", range(2), growing)
    weights = arguments["weights"]
    if how == "another":
        weights = weights._replace(**{field: getattr(weights, field).clone()})
    with torch.inference_mode() if how == "of inference mode" else nullcontext():
        getattr(weights, field).mul_(-1)
    arguments["weights"] = Weights(*weights)
    tape = growing.tape()
    actual, _ = read(arguments, "recompute", [2], growing)
    torch.testing.assert_close(actual, read(arguments, "recompute", [2], tape)[0], rtol=0, atol=0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_go_their_own_way(copied):
    arguments = build(**EVERY_STEP)
    growing = GrowingTape(arguments["tape"])
    read(arguments, "recompute", range(3), growing)
    other, kept = copied(growing), growing.tape()
    actual, _ = read(arguments, "recompute", range(3, 6), other)
    assert_same(growing.tape(), kept, rtol=0, atol=0)
    torch.testing.assert_close(actual, read(arguments, "recompute", range(3, 6), growing)[0])
