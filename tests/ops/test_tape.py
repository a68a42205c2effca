"""What a returned tape holds, what a tape may leave out, and that it is its fields alone."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
import torch
from torch.utils._pytree import tree_map

from fairseq_lstmn.ops import GrowingTape, Tape, lstmn

from .cases import MAY_BE_RAGGED, apply, assert_close, build, flat, gradients, run
from .test_pieces import piece


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


SIZES = dict(steps=9, prefix=4, source=3, distances=2)
ROWS = torch.tensor([2, 0, 0])
FULL = torch.tensor([4, 4, 4])


def made_by(arguments, backend, steps=5):
    """The tape after the first ``steps``, one by one without gradients."""
    tape = arguments["tape"]
    with torch.no_grad():
        for t in range(steps):
            _, tape, _ = lstmn(**piece(arguments, tape, t, t + 1), backend=backend)
    return tape


def goes_on(arguments, backend, tape, steps=(5, 9)):
    with torch.no_grad():
        return run(piece(arguments, tape, *steps), backend)


def rebuilt(tape):
    """A tape of new tensors with the same numbers."""
    return Tape(*(part if part is None else part.clone() for part in tape))


CHANGES = {
    "_replace hidden": lambda tape: tape._replace(hidden=-tape.hidden),
    "_replace keys and memory": lambda tape: tape._replace(keys=-tape.keys, memory=-tape.memory),
    "_replace lengths": lambda tape: tape._replace(lengths=torch.tensor([1, 4, 3])),
    "keys left out": lambda tape: tape._replace(keys=None),
    "tree_map": lambda tape: tree_map(lambda part: part.flip(0), tape._replace(lengths=FULL)),
    "index_select": lambda tape: Tape(*(part.index_select(0, ROWS) for part in tape[:5])),
    "reorder": lambda tape: tape.reorder(ROWS),
    "map": lambda tape: tape.map(torch.neg),
    "slices": lambda tape: Tape(*(part[:, 2:4] for part in tape[:3]), *tape[3:]),
    "latest": lambda tape: tape.latest(3),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("steps", [0, 5])
def test_a_changed_tape_is_read_as_changed(backend, change, steps):
    arguments = build(**SIZES)
    tape = change(made_by(arguments, backend, steps)) if steps else change(arguments["tape"])
    actual = goes_on(arguments, backend, tape)
    assert_close(actual, goes_on(arguments, backend, rebuilt(tape)), 0)
    unchanged = goes_on(arguments, backend, rebuilt(made_by(arguments, backend, steps)))
    assert not torch.allclose(actual["outputs"], unchanged["outputs"])


def test_an_edit_in_place_is_read(backend):
    arguments = build(**SIZES)
    tape = made_by(arguments, backend)
    tape.hidden[:, 3].zero_()
    assert_close(goes_on(arguments, backend, tape), goes_on(arguments, backend, rebuilt(tape)), 0)


def test_lengths_follow_their_rows():
    lengths = torch.tensor([1, 7, 3])
    tape = made_by(build(**SIZES), "recompute")._replace(lengths=lengths)
    assert tape.reorder(ROWS).lengths.tolist() == [3, 1, 1]
    assert tape.map(lambda part: part[1:]).lengths.tolist() == [7, 3]
    assert tape.latest(3).lengths.tolist() == [1, 3, 3]
    assert tape.latest(0).hidden.size(1) == 0 and not tape.latest(0).lengths.any()


def test_a_new_tape_shares_no_memory_with_the_old_one(backend):
    arguments = build(steps=2, prefix=2)
    arguments["tape"] = arguments["tape"]._replace(lengths=torch.tensor([2, 1, 0]))
    before = made_by(arguments, backend, 1)
    after = made_by(dict(arguments, tape=before), backend, 1)
    kept = rebuilt(after)
    for part in before:
        part.fill_(3)
    for now, then in zip(after, kept):
        assert torch.equal(now, then)


def test_an_edit_does_not_reach_autograd_elsewhere(backend):
    tape = made_by(build(**SIZES), backend)
    arguments = build(**SIZES)
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    loss = (tape.hidden * factor).sum()
    made_by(dict(arguments, tape=tape), backend).hidden.zero_()
    made_by(dict(arguments, tape=tape), backend).map(torch.Tensor.zero_)
    loss.backward()
    torch.testing.assert_close(factor.grad, tape.hidden.sum())


@pytest.mark.parametrize("filling", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("steps", [0, 5])
def test_what_stands_in_invalid_slots_is_not_read(backend, filling, steps):
    arguments = build(**SIZES)
    lengths = torch.tensor([1, 2, 0])

    def filled(value):
        tape = rebuilt(arguments["tape"]) if steps == 0 else made_by(arguments, backend, steps)
        invalid = torch.arange(tape.hidden.size(1), 0, -1) > lengths.unsqueeze(1)
        for part in tape[:3]:
            part.masked_fill_(invalid.unsqueeze(-1), value)
        return dict(arguments, tape=tape._replace(lengths=lengths))

    actual = gradients(partial(run, backend=backend), filled(filling))
    expected = gradients(partial(run, backend=backend), filled(0.0))
    assert_close(actual[0], expected[0], 0)
    assert_close(actual[1], expected[1], 0)
    expected = goes_on(arguments, backend, filled(0.0)["tape"])
    for kind in (Tape._make, GrowingTape):
        given = piece(arguments, kind(filled(filling)["tape"]), 5, 9)
        with torch.no_grad():
            outputs, tape, _ = lstmn(**given, backend=backend)
        assert_close({"outputs": outputs}, {"outputs": expected["outputs"]}, 0)
        tape = tape if kind == Tape._make else tape.tape()
        assert tape.hidden.isfinite().all() and tape.keys.isfinite().all()


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize("tapes, inputs", [("float", "double"), ("double", "float")])
def test_a_tape_is_cast_to_the_inputs_precision(backend, tapes, inputs, steps):
    arguments = apply(getattr(torch.Tensor, tapes), build(**SIZES))
    tape = made_by(arguments, backend, steps)
    arguments = apply(getattr(torch.Tensor, inputs), arguments)
    cast = apply(getattr(torch.Tensor, inputs), tape)
    actual = goes_on(arguments, backend, tape)
    assert_close(actual, goes_on(arguments, backend, cast), 0)
    assert actual["tape.hidden"].dtype == arguments["query_inputs"].dtype


def test_a_tape_of_inference_mode_goes_on_under_no_grad(backend):
    arguments = build(**SIZES)
    with torch.inference_mode():
        tape = made_by(arguments, backend)
    assert tape.hidden.is_inference()
    actual = goes_on(arguments, backend, tape)
    assert_close(actual, goes_on(arguments, backend, made_by(arguments, backend)), 0)


@pytest.mark.parametrize("ragged", [(), MAY_BE_RAGGED], ids=["full", "ragged"])
def test_a_tape_is_saved_and_loaded_without_trust(tmp_path, ragged):
    arguments = build(**SIZES, ragged=ragged)
    _, tape, _ = lstmn(**arguments)
    torch.save(
        {"layers": [tape], "alone": {"tape": tape}, "bare": arguments["tape"]}, tmp_path / "t"
    )
    found = torch.load(tmp_path / "t", weights_only=True)
    assert type(found["layers"][0]) is type(found["alone"]["tape"]) is Tape
    assert_close(flat(found["layers"][0]), flat(tape.map(torch.Tensor.detach)), 0)
    torch.testing.assert_close(found["layers"][0].lengths, tape.lengths)
    assert found["bare"]._fields == arguments["tape"]._fields


def send_back(tapes, doubled):
    doubled.put(tapes.get().map(lambda part: part * 2))
    tapes.get()  # until it has arrived


def test_a_tape_is_sent_between_processes():
    tape = made_by(build(**SIZES), "recompute")
    context = torch.multiprocessing.get_context("fork")
    there, back = context.SimpleQueue(), context.SimpleQueue()
    process = context.Process(target=send_back, args=(there, back))
    process.start()
    there.put(tape)
    found = back.get()
    there.put(None)
    process.join()
    assert type(found) is Tape
    assert_close(flat(found), flat(tape.map(lambda part: part * 2)), 0)


def test_threads_may_continue_one_tape(fast_backend):
    arguments = build(**SIZES, batch=2, width=8)
    expected = goes_on(arguments, fast_backend, made_by(arguments, fast_backend, 1))
    with ThreadPoolExecutor(2) as pool:
        for _ in range(60):
            tape, together = made_by(arguments, fast_backend, 1), Barrier(2)

            def at_once(steps):
                together.wait()
                return goes_on(arguments, fast_backend, tape, steps)

            right, other = pool.map(at_once, [(5, 9), (1, 5)])
            assert_close(right, expected, 0)
            assert other["tape.hidden"].isfinite().all()
