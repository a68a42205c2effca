"""The attention weights that are returned on demand."""

import pytest
import torch

from fairseq_lstmn.ops import lstmn

from .cases import MAY_BE_RAGGED, apply, assert_close, build, flat, gradients


def attend(arguments, backend):
    return lstmn(**arguments, return_attention=True, backend=backend)[2]


def outputs_and_tape(arguments, backend, asked):
    outputs, tape, attention = lstmn(**arguments, return_attention=asked, backend=backend)
    assert (attention is not None) == asked
    return flat({"outputs": outputs, "tape": tape})


@pytest.mark.parametrize("ragged", [(), MAY_BE_RAGGED], ids=["whole", "ragged"])
def test_none_unless_asked_for(backend, ragged):
    """And all else is as with it: results with and without gradients, and these."""
    arguments = build(prefix=2, source=3, memory_span=3, ragged=ragged)
    expected, actual = (
        gradients(lambda of: outputs_and_tape(of, backend, asked), arguments)
        for asked in (True, False)
    )
    for found, as_asked in zip(actual, expected):
        assert_close(found, as_asked, 0)
    with torch.no_grad():
        assert_close(outputs_and_tape(arguments, backend, False), expected[0], 0)


def test_no_source_no_source_attention(backend):
    assert attend(build(prefix=2), backend).source is None


def test_a_step_looks_back_only(backend):
    weights = attend(build(steps=5, prefix=2), backend).tape
    assert weights.shape == (3, 5, 7)
    for t in range(5):
        assert (weights[:, t, : 2 + t] > 0).all()
        assert not weights[:, t, 2 + t :].any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5, dtype=torch.float64))


def test_a_step_looks_no_further_than_its_span(backend):
    weights = attend(build(steps=5, prefix=4, memory_span=3), backend).tape
    assert weights.shape == (3, 5, 9)
    for t in range(5):
        attended = weights[:, t] > 0
        assert attended.sum(-1).tolist() == [3, 3, 3]
        assert attended[:, 1 + t : 4 + t].all()


def test_the_first_step_of_an_empty_tape_attends_nothing(backend):
    weights = attend(build(), backend).tape
    assert not weights[:, 0].any()
    torch.testing.assert_close(weights[:, 1:].sum(-1), torch.ones(3, 4, dtype=torch.float64))


def test_ragged_rows_look_at_valid_slots_only(backend):
    arguments = build(steps=4, prefix=3)
    arguments["lengths"] = torch.tensor([4, 2, 0])
    arguments["tape"] = arguments["tape"]._replace(lengths=torch.tensor([0, 2, 3]))
    weights = attend(arguments, backend).tape
    none, some = [False], [True]
    assert (weights > 0).tolist() == [
        [none * 7, none * 3 + some + none * 3, none * 3 + some * 2 + none * 2]
        + [none * 3 + some * 3 + none],
        [none + some * 2 + none * 4, none + some * 3 + none * 3, none * 7, none * 7],
        [none * 7] * 4,
    ]


def test_source_attention_stays_on_real_tokens(backend):
    arguments = build(source=4)
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1]], dtype=torch.bool)
    arguments["source"] = arguments["source"]._replace(mask=mask)
    arguments["lengths"] = torch.tensor([5, 5, 2])
    weights = attend(arguments, backend).source
    valid = torch.arange(5) < arguments["lengths"].unsqueeze(1)
    assert ((weights > 0) == (mask.unsqueeze(1) & valid.unsqueeze(2))).all()
    sums = (valid & mask.any(-1, keepdim=True)).double()
    torch.testing.assert_close(weights.sum(-1), sums)


@pytest.mark.parametrize("fusion", ["deep", "shallow"])
def test_the_context_is_what_the_source_attention_sums(fusion, backend):
    arguments = build(source=4, fusion=fusion)
    arguments["lengths"] = torch.tensor([5, 5, 2])
    _, _, attention = lstmn(**arguments, return_attention=True, backend=backend)
    hidden = arguments["source"].slots[..., : attention.context.size(2)]
    torch.testing.assert_close(attention.context, attention.source @ hidden)
    assert not attention.context[2, 2:].any()


def test_a_row_with_no_source_token_reads_as_without_a_source(backend):
    """Its context is zero, and so is what (15) adds."""
    arguments = build(source=4)
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    arguments["source"] = arguments["source"]._replace(mask=mask)
    outputs, tape, _ = lstmn(**arguments, backend=backend)
    without, _, _ = lstmn(**dict(arguments, source=None), backend=backend)
    torch.testing.assert_close(outputs[1], without[1])
    assert not torch.isclose(outputs[0], without[0]).all()
    assert not tape.source_summary[1].any()


def test_weights_survive_scores_beyond_the_range_of_exp(backend):
    """Scores of hundreds: float32's exp overflows at 89."""
    arguments = build(prefix=2, source=3)
    weights = arguments["weights"]
    arguments["weights"] = weights._replace(
        score=weights.score * 1e3, source_score=weights.source_score * 1e3
    )
    single = apply(torch.Tensor.float, arguments)
    attention = attend(single, backend)
    torch.testing.assert_close(attention.tape.sum(-1), torch.ones(3, 5))
    torch.testing.assert_close(attention.source.sum(-1), torch.ones(3, 5))
