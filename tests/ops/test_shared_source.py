"""A source of fewer sentences than rows: each is read by as many successive rows as the others."""

import pytest
import torch

from .cases import assert_close, build, gradients, run

LIMIT = 1e-12  # float64; measured at most 5e-15
SENTENCES, READERS = 2, 3


def shared(**sizes):
    """Arguments in which ``READERS`` rows read a sentence."""
    sizes = dict(dict(prefix=2, ragged=("source",)), **sizes)
    arguments = build(batch=SENTENCES * READERS, source=4, **sizes)
    source = arguments["source"]
    few = {name: getattr(source, name)[:SENTENCES] for name in ("keys", "slots", "mask")}
    return dict(arguments, source=source._replace(**few))


CASES = pytest.mark.parametrize(
    "sizes",
    [{}, {"fusion": "shallow"}, {"fusion": "token"}, {"ragged": ("steps", "source")}],
    ids=str,
)


@CASES
def test_without_gradients(fast_backend, sizes):
    with torch.no_grad():
        expected = run(shared(**sizes), "reference")
        assert_close(run(shared(**sizes), fast_backend), expected, LIMIT)


@CASES
def test_gradients(fast_backend, sizes):
    actual = gradients(lambda parts: run(parts, fast_backend), shared(**sizes))
    expected = gradients(lambda parts: run(parts, "reference"), shared(**sizes))
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


@CASES
def test_it_is_as_if_each_row_had_its_own(backend, sizes):
    arguments = shared(**sizes)
    own = dict(arguments, source=arguments["source"].for_each(SENTENCES * READERS))
    assert_close(run(arguments, backend), run(own, backend), LIMIT)
