"""Feeding a sequence in pieces, the tape handed on, equals feeding it whole."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_lstmn.ops import lstmn

from .cases import (
    MAY_BE_RAGGED,
    any_arguments,
    assert_close,
    build,
    flat,
    gradients,
    repeatable,
)

LIMIT = 1e-12  # float64; measured at most 3e-15


def piece(arguments, tape, start, stop):
    """``arguments`` of the steps from ``start`` to ``stop``, after a ``tape``."""
    part = dict(arguments, tape=tape)
    for name in ("query_inputs", "gate_inputs"):
        part[name] = arguments[name][:, start:stop]
    if arguments["lengths"] is not None:
        part["lengths"] = (arguments["lengths"] - start).clamp(0, stop - start)
    if arguments["source"] is not None:
        source = arguments["source"]
        inputs = {name: getattr(source, name) for name in ("query_inputs", "gate_inputs")}
        part["source"] = source._replace(
            **{name: of[:, start:stop] for name, of in inputs.items() if of is not None}
        )
    return part


def in_pieces(arguments, backend, cuts):
    """Outputs and final tape of a sequence cut after ``cuts`` steps."""
    bounds = [0, *cuts, arguments["query_inputs"].size(1)]
    outputs, tape = [], arguments["tape"]
    for start, stop in zip(bounds, bounds[1:]):
        made, tape, _ = lstmn(**piece(arguments, tape, start, stop), backend=backend)
        outputs.append(made)
    return flat({"outputs": torch.cat(outputs, dim=1), "tape": tape})


@pytest.mark.parametrize("cuts", [[1], [4], [2, 5, 6], range(1, 9)], ids=str)
@pytest.mark.parametrize("memory_span", [0, 1, 3])
@pytest.mark.parametrize("ragged", [(), MAY_BE_RAGGED], ids=["full", "ragged"])
def test_results_and_gradients(backend, cuts, memory_span, ragged):
    arguments = build(
        steps=9, prefix=2, source=3, ragged=ragged, memory_span=memory_span, distances=2
    )
    actual = gradients(partial(in_pieces, backend=backend, cuts=cuts), arguments)
    expected = gradients(partial(in_pieces, backend=backend, cuts=[]), arguments)
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


@repeatable
@given(arguments=any_arguments, cuts=st.sets(st.integers(1, 5)), differentiate=st.booleans())
def test_any_cuts_of_any_shape(backend, arguments, cuts, differentiate):
    cuts = sorted(cut for cut in cuts if cut < arguments["query_inputs"].size(1))
    with torch.set_grad_enabled(differentiate):
        actual = in_pieces(arguments, backend, cuts)
    assert_close(actual, in_pieces(arguments, backend, []), LIMIT)


def test_rows_end_in_the_second_piece_without_gradients(backend):
    """The first piece's tape grows in place, where rows stand in the order that was given."""
    arguments = dict(build(steps=6), lengths=torch.tensor([4, 6, 5]))
    with torch.no_grad():
        actual = in_pieces(arguments, backend, [3])
    assert_close(actual, in_pieces(arguments, "reference", []), LIMIT)


def test_a_tape_can_change_hands_between_backends(fast_backend):
    arguments = build(steps=6, prefix=2, source=3, ragged=MAY_BE_RAGGED)
    whole = in_pieces(arguments, "reference", [])
    _, tape, _ = lstmn(**piece(arguments, arguments["tape"], 0, 3), backend="reference")
    outputs, _, _ = lstmn(**piece(arguments, tape, 3, 6), backend=fast_backend)
    assert_close({"outputs": outputs}, {"outputs": whole["outputs"][:, 3:]}, LIMIT)
