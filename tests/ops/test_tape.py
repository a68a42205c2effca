"""What the returned tape holds, and what a given tape may leave out."""

import pytest
import torch

from fairseq_lstmn.ops import Tape, lstmn

from .cases import MAY_BE_RAGGED, apply, assert_close, build, flat, gradients, run


def after(arguments, backend):
    outputs, tape, _ = lstmn(**arguments, backend=backend)
    return outputs, tape


def test_slots_are_the_prefix_then_the_steps(backend):
    arguments = build(steps=5, prefix=2)
    outputs, tape = after(arguments, backend)
    given = arguments["tape"]
    torch.testing.assert_close(tape.hidden, torch.cat([given.hidden, outputs], dim=1))
    assert tape.memory.shape == tape.keys.shape == tape.hidden.shape
    torch.testing.assert_close(tape.memory[:, :2], given.memory)
    torch.testing.assert_close(tape.keys[:, :2], given.keys)
    torch.testing.assert_close(tape.keys[:, 2:], outputs @ arguments["weights"].key.T)
    assert tape.lengths is None


def test_ragged_slots_stand_at_the_right_and_the_rest_is_zero(backend):
    arguments = build(steps=5, prefix=3)
    arguments["lengths"] = torch.tensor([5, 2, 0])
    arguments["tape"] = arguments["tape"]._replace(lengths=torch.tensor([1, 3, 2]))
    outputs, tape = after(arguments, backend)
    assert tape.lengths.tolist() == [6, 5, 2]
    assert not tape.lengths.is_floating_point()
    for b, (steps, slots) in enumerate(((5, 1), (2, 3), (0, 2))):
        for name in ("hidden", "memory", "keys"):
            row, given = getattr(tape, name)[b], getattr(arguments["tape"], name)[b, 3 - slots :]
            assert row.size(0) == 8
            assert not row[: 8 - slots - steps].any()
            torch.testing.assert_close(row[8 - slots - steps : 8 - steps], given)
        torch.testing.assert_close(tape.hidden[b, 8 - steps :], outputs[b, :steps])


@pytest.mark.parametrize("kept, expected", [(1, [1, 1, 1]), (4, [4, 4, 2]), (6, [6, 5, 2])])
def test_the_latest_slots_are_all_that_a_span_needs(backend, kept, expected):
    arguments = dict(build(steps=5, prefix=3), memory_span=kept)
    arguments["lengths"] = torch.tensor([5, 2, 0])
    arguments["tape"] = arguments["tape"]._replace(lengths=torch.tensor([1, 3, 2]))
    tape = after(arguments, backend)[1]
    assert tape.hidden.size(1) == 8
    latest = tape.latest(kept)
    assert latest.hidden.shape == latest.memory.shape == latest.keys.shape == (3, kept, 4)
    assert latest.lengths.tolist() == expected
    arguments["lengths"] = None
    whole = run(dict(arguments, tape=tape), backend)
    trimmed = run(dict(arguments, tape=latest), backend)
    for name in ("outputs", "tape.summary"):
        torch.testing.assert_close(trimmed[name], whole[name])


def test_latest_of_fewer_slots_is_all(backend):
    tape = after(build(steps=5, prefix=3), backend)[1]
    assert tape.latest(9).hidden.size(1) == 8 and tape.latest(9).lengths is None


def test_a_full_ragged_tape_is_valid_everywhere(backend):
    arguments = dict(build(steps=2, prefix=2), lengths=torch.tensor([2, 2, 2]))
    tape = after(arguments, backend)[1]
    assert tape.lengths is None or tape.lengths.tolist() == [4, 4, 4]


def test_a_row_without_steps_keeps_its_summaries(backend):
    arguments = dict(build(prefix=2, source=3), lengths=torch.tensor([0, 5, 0]))
    outputs, tape = after(arguments, backend)
    for name in ("summary", "source_summary"):
        last, first = getattr(tape, name), getattr(arguments["tape"], name)
        torch.testing.assert_close(last[[0, 2]], first[[0, 2]])
        assert (last[1] != first[1]).all()


def test_no_row_has_a_step(backend):
    arguments = dict(build(), lengths=torch.zeros(3, dtype=torch.long))
    outputs, tape = after(arguments, backend)
    assert outputs.shape == (3, 5, 4) and not outputs.any()
    assert tape.lengths.tolist() == [0, 0, 0]
    assert not tape.hidden.any() and not tape.summary.any()


def test_a_tape_without_slots_is_no_tape(backend):
    arguments = build(source=3)
    nothing = torch.zeros(3, 0, 4, dtype=torch.float64)
    empty = run(dict(arguments, tape=Tape(nothing, nothing)), backend)
    assert_close(empty, run(arguments, backend), 0)


def test_what_a_tape_leaves_out_is_filled_in(backend):
    """Keys are projected (and differentiated through), summaries are zero, all slots count."""
    arguments = build(prefix=3, source=2)
    tape = arguments["tape"]

    def results(parts, complete):
        slots = (parts["hidden"], parts["memory"])
        if complete:
            zeros = torch.zeros(3, 4, dtype=torch.float64)
            keys = parts["hidden"] @ parts["weights"].key.T
            slots = (*slots, keys, zeros, zeros, torch.tensor([3, 3, 3]))
        return run(dict(arguments, weights=parts["weights"], tape=Tape(*slots)), backend)

    parts = {"hidden": tape.hidden, "memory": tape.memory, "weights": arguments["weights"]}
    actual = gradients(lambda parts: results(parts, complete=False), parts)
    expected = gradients(lambda parts: results(parts, complete=True), parts)
    assert_close(actual[0], expected[0], 1e-12)
    assert_close(actual[1], expected[1], 1e-12)


@pytest.mark.parametrize("ragged", [(), MAY_BE_RAGGED], ids=["full", "ragged"])
def test_arguments_are_left_as_they_were(backend, ragged):
    sizes = {"prefix": 2, "source": 3, "ragged": ragged, "distances": 2, "memory_span": 3}
    arguments, kept = build(**sizes), build(**sizes)
    with torch.no_grad():
        run(arguments, backend)
    leaves = [tensor.requires_grad_() for tensor in flat(arguments).values()]
    torch.autograd.grad(sum(result.sum() for result in run(arguments, backend).values()), leaves)
    assert_close(apply(torch.Tensor.detach, flat(arguments)), flat(kept), 0)
    if ragged:
        assert torch.equal(arguments["lengths"], kept["lengths"])
        assert torch.equal(arguments["tape"].lengths, kept["tape"].lengths)
        assert torch.equal(arguments["source"].mask, kept["source"].mask)


def test_outputs_may_be_written_into(backend):
    with torch.no_grad():  # a single step of a single row is contiguous as it stands in the tape
        outputs, tape, _ = lstmn(**build(batch=1, steps=1), backend=backend)
    before = tape.hidden.clone()
    outputs.zero_()
    assert torch.equal(tape.hidden, before)


def test_an_empty_batch(backend):
    outputs, tape, _ = lstmn(**build(batch=0, steps=2, source=3), backend=backend)
    assert outputs.shape == (0, 2, 4)
    assert tape.hidden.shape == (0, 2, 4)
