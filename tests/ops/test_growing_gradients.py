"""Gradients flow through a GrowingTape as through a Tape; what is kept for them grows linearly."""

from functools import partial

import pytest
import torch

from fairseq_lstmn.ops import GrowingTape, lstmn

from .cases import apply, assert_close, build, flat, gradients
from .test_growing import EVERY_STEP
from .test_memory import Allocations
from .test_pieces import piece

ROWS = torch.tensor([2, 0, 0])
LIMIT = 1e-12  # float64; measured 0


def as_it_is(tape):
    return tape


def read(arguments, backend, tape, steps, without=()):
    """Outputs of ``steps``, fed one by one behind ``tape``, those ``without`` gradients; and it."""
    found = []
    for t in steps:
        with torch.set_grad_enabled(t not in without):
            outputs, tape, _ = lstmn(**piece(arguments, tape, t, t + 1), backend=backend)
        found.append(outputs)
    return torch.cat(found, dim=1), tape


def results(arguments, backend, kind, then=as_it_is, without=()):
    """Of 30 steps behind a tape of that ``kind``; ``then`` changes it after the first 20."""
    first, tape = read(arguments, backend, kind(arguments["tape"]), range(20), without)
    rest, tape = read(arguments, backend, then(tape), range(20, 30), without)
    tape = tape.tape() if kind is GrowingTape else tape
    return flat({"outputs": torch.cat([first, rest], dim=1), "tape": tape})


def assert_equal(arguments, backend, limit=LIMIT, **options):
    actual, expected = (
        gradients(partial(results, backend=backend, kind=kind, **options), arguments)
        for kind in (GrowingTape, as_it_is)
    )
    assert_close(actual[0], expected[0], limit)
    assert_close(actual[1], expected[1], limit)


@pytest.mark.parametrize("memory_span", [0, 5])
@pytest.mark.parametrize("ragged", [(), ("prefix", "source")], ids=str)
@pytest.mark.parametrize("fusion", ["deep", "shallow"])
def test_they_are_those_of_a_tape(backend, memory_span, ragged, fusion):
    arguments = build(**EVERY_STEP, memory_span=memory_span, ragged=ragged, fusion=fusion)
    assert_equal(arguments, backend)


CHANGES = {
    "reorder": lambda tape: tape.reorder(ROWS),
    "latest": lambda tape: tape.latest(4),
    "both": lambda tape: tape.reorder(ROWS).latest(4).reorder(ROWS),
}


@pytest.mark.parametrize("then", CHANGES.values(), ids=CHANGES)
def test_they_follow_what_happens_to_the_tape(backend, then):
    assert_equal(build(**EVERY_STEP), backend, then=then)


def test_steps_without_gradients_pass_none_on(backend):
    assert_equal(build(**EVERY_STEP), backend, without=(3, 4, 25))


def test_rows_that_change_places_leave_alone_what_was_read_before(backend):
    """A backward pass is still to come when rows go on in another order without gradients."""

    def disturb(tape):
        kept = tape.tape()
        with torch.no_grad():
            arguments = build(**EVERY_STEP)
            read(arguments, backend, tape, range(30, 32), without=range(40))
            read(arguments, backend, tape.reorder(ROWS), range(32, 34), without=range(40))
        return kept

    arguments = build(**EVERY_STEP)

    def disturbed(given):
        return results(given, backend, lambda tape: GrowingTape(tape), then=disturb)

    actual = gradients(disturbed, arguments)[1]
    expected = gradients(partial(results, backend=backend, kind=as_it_is), arguments)[1]
    assert_close(actual, expected, LIMIT)


def test_half_precision_passes_them_on_to_weights_whose_casts_are_kept(backend):
    """Also when the first steps wanted none."""
    arguments = apply(torch.Tensor.bfloat16, build(**EVERY_STEP))
    # measured 0.021: a Tape is rounded to bfloat16 after every step
    assert_equal(arguments, backend, limit=0.04, without=(0, 1))


def test_a_copy_has_none_and_a_call_that_wants_none_makes_none(backend):
    arguments = build(**EVERY_STEP)
    growing = GrowingTape(arguments["tape"])
    read(arguments, backend, growing, range(2))
    assert not growing.tape().hidden.requires_grad
    arguments["weights"].key.requires_grad_()
    read(arguments, backend, growing, range(2, 4))
    assert growing.tape().hidden.requires_grad
    assert not growing.__reduce__()[1][0].hidden.requires_grad


def kept(backend, steps, kind):
    """Bytes that the backward passes of as many steps wait for, but the arguments'."""
    arguments = build(batch=2, steps=steps, width=16, prefix=1)
    leaves = [part.requires_grad_() for part in flat(arguments).values()]
    with Allocations(leaves) as allocations:
        results = read(arguments, backend, kind(arguments["tape"]), range(steps))
        return allocations.alive(), results


def test_the_slots_are_kept_once(fast_backend):
    """Copies of the tape would be a sum over all steps."""
    growing, _ = kept(fast_backend, 128, GrowingTape)
    copying, _ = kept(fast_backend, 128, as_it_is)
    half, _ = kept(fast_backend, 64, GrowingTape)
    assert growing < copying / 8  # measured 10.4
    assert growing < 2.5 * half  # measured 2.3: attention over a growing tape is kept
