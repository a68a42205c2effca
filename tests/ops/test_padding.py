"""What a row gives depends on nothing but itself, by lengths of every integer type."""

from functools import partial
from itertools import product

import pytest
import torch
from hypothesis import given
from torch.overrides import TorchFunctionMode

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import GrowingTape, Source, lstmn
from fairseq_lstmn.ops.passes.inputs import Inputs
from fairseq_lstmn.ops.prepare import checked, fill_in

from .cases import (
    MAY_BE_RAGGED,
    alone,
    any_arguments,
    apply,
    assert_close,
    build,
    flat,
    gradients,
    repeatable,
    run,
)

SLOTS = ("hidden", "memory", "keys")
SOURCE_TAPES = ("keys", "slots")
STEP_INPUTS = ("query_inputs", "gate_inputs")
LIMIT = 1e-12  # float64; measured at most 1e-15


@repeatable
@given(arguments=any_arguments)
def test_a_row_of_a_batch_is_the_row_alone(backend, arguments):
    together = run(arguments, backend)
    for row in range(arguments["query_inputs"].size(0)):
        single = alone(arguments, row)
        steps = single["query_inputs"].size(1)
        assert not together["outputs"][row, steps:].any()
        if steps == 0:
            continue
        outputs, tape, _ = lstmn(**single, backend=backend)
        slots = tape.hidden.size(1)
        actual = {"outputs": together["outputs"][row : row + 1, :steps]}
        expected = {"outputs": outputs}
        for name, part in flat({"tape": tape}).items():
            at_row = together[name][row : row + 1]
            actual[name] = at_row[:, -slots:] if part.dim() == 3 else at_row
            expected[name] = part
        assert_close(actual, expected, LIMIT)


def fill_steps(arguments, filling):
    """``arguments`` with ``filling`` at the steps that a row does not have."""
    steps = arguments["query_inputs"].size(1)
    missing = torch.arange(steps) >= arguments["lengths"].unsqueeze(1)
    inputs = {name: fill(arguments[name], missing, filling) for name in STEP_INPUTS}
    source = arguments["source"]
    at_source = {name: fill(getattr(source, name), missing, filling) for name in STEP_INPUTS}
    return dict(arguments, **inputs, source=source._replace(**at_source))


def fill_prefix(arguments, filling):
    """``arguments`` with ``filling`` in the slots that a row of the prefix does not have."""
    tape = arguments["tape"]
    missing = torch.arange(tape.hidden.size(1), 0, -1) > tape.lengths.unsqueeze(1)
    slots = {name: fill(getattr(tape, name), missing, filling) for name in SLOTS}
    return dict(arguments, tape=tape._replace(**slots))


def fill_source(arguments, filling):
    """``arguments`` with ``filling`` in the slots that the source's mask leaves out."""
    source = arguments["source"]
    tapes = {name: fill(getattr(source, name), ~source.mask, filling) for name in SOURCE_TAPES}
    return dict(arguments, source=source._replace(**tapes))


def fill(tensor, where, filling):
    return tensor.masked_fill(where.unsqueeze(-1), filling)


INFINITE = [float("nan"), float("inf"), -float("inf")]
FILLINGS = [
    *product([fill_steps, fill_prefix], [1e6, *INFINITE]),
    (fill_source, 1e6),  # whose contract asks for what is finite
]


@pytest.mark.parametrize("memory_span", [0, 2])
@pytest.mark.parametrize("place, filling", FILLINGS)
def test_what_stands_at_padding_is_not_read(backend, place, memory_span, filling):
    arguments = build(
        prefix=3, source=4, ragged=MAY_BE_RAGGED, memory_span=memory_span, distances=2, seed=3
    )
    compute = partial(run, backend=backend)
    actual = gradients(compute, place(arguments, filling))
    expected = gradients(compute, place(arguments, 0.0))
    assert_close(actual[0], expected[0], 0)
    assert_close(actual[1], expected[1], 0)


@pytest.mark.parametrize("place", [fill_steps, fill_prefix, fill_source])
def test_gradients_vanish_at_padding(backend, place):
    arguments = build(prefix=3, source=4, ragged=MAY_BE_RAGGED, seed=3)
    _, found = gradients(partial(run, backend=backend), arguments)
    marked = place(apply(torch.zeros_like, arguments), 1.0)
    padding = {name: mark == 1 for name, mark in flat(marked).items() if mark.any()}
    assert padding
    for name, where in padding.items():
        assert not found[name][where].any(), name
        assert found[name][~where].any(), name


NARROW = [torch.int8, torch.uint8, torch.int16, torch.int32]


def with_lengths(arguments, change):
    tape = arguments["tape"]._replace(lengths=change(arguments["tape"].lengths))
    return dict(arguments, lengths=change(arguments["lengths"]), tape=tape)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_narrow_integers_count_as_far_as_wide_ones(backend, dtype):
    """127 prefix slots and 127 steps: their sum is no int8."""
    arguments = build(batch=2, steps=127, width=2, prefix=127)
    lengths = torch.tensor([127, 90])
    tape = arguments["tape"]._replace(lengths=lengths.flip(0))
    arguments = dict(arguments, lengths=lengths, tape=tape)
    narrow = with_lengths(arguments, lambda lengths: lengths.to(dtype))
    assert_close(run(narrow, backend), run(arguments, backend), 0)
    found = lstmn(**narrow, backend=backend)[1].lengths
    assert found.tolist() == [217, 217] and found.dtype == torch.int64
    narrow["lengths"] = None
    arguments["lengths"] = None
    assert_close(run(narrow, backend), run(arguments, backend), 0)
    growing = GrowingTape(narrow["tape"])
    with torch.no_grad():
        outputs, _, _ = lstmn(**dict(narrow, tape=growing), backend=backend)
    assert_close({"outputs": outputs}, {"outputs": run(arguments, backend)["outputs"]}, 0)
    assert growing.tape().lengths.tolist() == [217, 254]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.bool, torch.complex64])
@pytest.mark.parametrize("name", ["lengths", "tape.lengths"])
def test_what_is_not_an_integer_is_refused(backend, name, dtype):
    arguments = build(prefix=2)
    lengths = torch.ones(3, dtype=dtype)
    if name == "lengths":
        arguments["lengths"] = lengths
    else:
        arguments["tape"] = arguments["tape"]._replace(lengths=lengths)
    for tape in (arguments["tape"], GrowingTape(arguments["tape"])):
        with torch.no_grad(), pytest.raises(InputError) as raised:
            lstmn(**dict(arguments, tape=tape), backend=backend)
        assert str(raised.value) == f"{name} must be integers, not {dtype}"


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32])
def test_a_mask_that_is_not_bool_is_refused(backend, dtype):
    arguments = build(source=4, ragged=["source"])
    source = arguments["source"]
    arguments["source"] = source._replace(mask=source.mask.to(dtype))
    with pytest.raises(InputError) as raised:
        lstmn(**arguments, backend=backend)
    assert str(raised.value) == f"source.mask must be bool, True at real tokens, not {dtype}"


class Asked(TorchFunctionMode):
    """How often Python asks a tensor for what is in it; a device would have to be waited for."""

    WAITS = {
        getattr(torch.Tensor, name)
        for name in (
            *("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__"),
            *("__contains__", "nonzero", "unique", "unique_consecutive", "equal", "masked_select"),
        )
    } | {torch.equal, torch.nonzero, torch.masked_select, torch.is_nonzero}
    times = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.times += function in self.WAITS
        return function(*args, **(kwargs or {}))


def times_asked(arguments, backend):
    with Asked() as asked:
        lstmn(**arguments, backend=backend)
    return asked.times


@pytest.mark.parametrize("differentiate", [True, False])
def test_a_device_is_asked_once_for_a_ragged_call_and_never_for_a_full_one(
    fast_backend, differentiate
):
    sizes = dict(steps=5, prefix=3, source=4, distances=2)
    with torch.set_grad_enabled(differentiate):
        assert times_asked(build(**sizes), fast_backend) == 0
        assert times_asked(build(**sizes, ragged=["source"]), fast_backend) == 0
        assert times_asked(build(**sizes, ragged=["steps"]), fast_backend) == 1
        assert times_asked(build(**sizes, ragged=["prefix"]), fast_backend) == 1
        assert times_asked(build(**sizes, ragged=MAY_BE_RAGGED), fast_backend) == 1


def test_the_count_of_questions_can_fail():
    lengths = torch.tensor([1, 2])
    with Asked() as asked:
        int(lengths.min()), bool((lengths == 1).all()), lengths.sum().item(), lengths.tolist()
        if lengths.any():
            pass
    assert asked.times == 5


@pytest.mark.parametrize("fusion", ["deep", "shallow", "token"])
@pytest.mark.parametrize("ragged", [(), MAY_BE_RAGGED], ids=["full", "ragged"])
def test_rows_that_share_a_sentence_read_it_as_if_each_had_its_own(backend, fusion, ragged):
    """G = 2 sentences for B = 6 rows; what the rows want of a sentence is summed."""
    arguments = build(batch=6, steps=4, prefix=2, source=5, fusion=fusion, ragged=ragged)
    sentences = torch.tensor([0, 3])
    source = arguments["source"]
    mask = torch.rand(6, 5, generator=torch.Generator().manual_seed(0)) < 0.7
    shared = [part[sentences] for part in (source.keys, source.slots, mask)]

    def results(arguments, keys_and_slots):
        source = Source(*keys_and_slots, *arguments["source"][2:4], shared[2])
        return run(dict(arguments, source=source), backend)

    def own(arguments):
        each = [arguments["source"][n].repeat_interleave(3, dim=0) for n in (0, 1)]
        source = Source(*each, *arguments["source"][2:4], shared[2].repeat_interleave(3, dim=0))
        return run(dict(arguments, source=source), "reference")

    arguments["source"] = source._replace(keys=shared[0], slots=shared[1], mask=shared[2])
    actual = gradients(lambda given: results(given, given["source"][:2]), arguments)
    expected = gradients(own, arguments)
    assert_close(actual[0], expected[0], 1e-12)
    assert_close(actual[1], expected[1], 1e-12)
    with torch.no_grad():
        found = results(arguments, shared[:2])
        assert_close(found, own(arguments), 1e-12)


def test_only_rows_that_have_a_step_take_it():
    arguments = build(batch=4, steps=5)
    lengths = torch.tensor([3, 0, 5, 3], dtype=torch.int8)
    del arguments["lengths"]
    inputs, batch = checked(Inputs(**arguments), lengths)
    assert batch.longest_first(fill_in(inputs)).rows == [3, 3, 3, 1, 1]
