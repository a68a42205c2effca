"""The compiled kernels beyond the operation's contract, which every backend's tests hold."""

import math
from functools import partial

import pytest
import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import GrowingTape, Weights, backends, cpp, lstmn
from fairseq_lstmn.ops.cpp import cpp_library
from fairseq_lstmn.ops.passes.inputs import Inputs
from fairseq_lstmn.ops.prepare import fill_in

from .cases import MAY_BE_RAGGED, apply, assert_close, build, gradients, run
from .test_kernels import assert_digits, doubles, floats


def test_it_is_built_wherever_the_suite_runs():
    assert dict(backends.report())["cpp"] is None


@pytest.fixture(scope="module")
def fast_tanh():
    assert cpp_library.load(cpp_library.library()) is None
    return torch.ops.fairseq_lstmn.tanh


@pytest.mark.parametrize("sign", [1, -1])
def test_tanh_over_all_floats(fast_tanh, sign):
    """Every 1000th float from 0 to infinity: all exponents, denormals too."""
    bits = torch.arange(0, 0x7F800000, 1000, dtype=torch.int32)
    x = sign * bits.view(torch.float32)
    expected = x.double().tanh()
    error = (fast_tanh(x).double() - expected).abs()
    # measured over every float: 4.8e-7 for both
    assert error.max() <= 6e-7
    normal = expected.abs() >= torch.finfo(torch.float32).tiny
    assert (error / expected.abs())[normal].max() <= 6e-7
    assert fast_tanh(x).abs().max() <= 1


def test_tanh_of_what_is_no_number(fast_tanh):
    made = fast_tanh(torch.tensor([math.inf, -math.inf, math.nan, 0.0, -0.0])).tolist()
    assert made[:2] == pytest.approx([1, -1], abs=6e-7)
    assert math.isnan(made[2])
    assert made[3:] == [0, 0] and [math.copysign(1, zero) for zero in made[3:]] == [1, -1]


def test_tanh_in_double_precision(fast_tanh):
    x = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    torch.testing.assert_close(fast_tanh(x), x.tanh(), rtol=1e-15, atol=0)


def activated(x):
    """The logistic function and tanh of x (16 n), by gates that hold it."""
    rows = x.view(-1, 1, 16)
    nothing = x.new_zeros(len(rows), 1, 16)
    matrix = x.new_zeros(16, 16)
    weights = Weights(matrix, matrix, x.new_zeros(16), x.new_zeros(64, 16))
    inputs = fill_in(Inputs(nothing, rows.repeat(1, 1, 4), weights, None, None, 0, None))
    gates = cpp.kernels().forward(inputs).gates.view(-1, 4, 16)
    input_gate, forget, candidate, output = (part.flatten() for part in gates.unbind(dim=1))
    torch.testing.assert_close((forget, output), (input_gate,) * 2, rtol=0, atol=0, equal_nan=True)
    return input_gate, candidate


# measured: 2.1e-7 and 4.8e-7 in float32, 3e-16 and 3.5e-16 in float64
@pytest.mark.parametrize("x, limit", [(floats(), 6e-7), (doubles(), 1e-15)], ids=["32", "64"])
def test_digits_of_the_gates(x, limit):
    x = x[: len(x) // 16 * 16]
    for actual, function in zip(activated(x), (torch.sigmoid, torch.tanh)):
        assert_digits(actual, function(x.double()), limit, torch.finfo(x.dtype).tiny)


SIZES = (
    # rows around blocks and tiles, and widths around vectors and panels
    *({"batch": batch, "width": 7, "steps": 3} for batch in (1, 6, 10, 11, 19, 20, 21, 41)),
    *({"batch": 2, "width": width} for width in (1, 2, 8, 15, 16, 17, 31, 32, 33, 47, 65)),
    {"batch": 2, "steps": 2, "width": 1000},
    # more steps than are summed at once, and a last block of several lengths
    {"batch": 23, "steps": 40, "width": 9, "prefix": 3, "ragged": ["steps"]},
    {"batch": 5, "steps": 35, "width": 20, "source": 7, "ragged": MAY_BE_RAGGED},
    {"batch": 5, "steps": 35, "width": 20, "source": 7, "fusion": "shallow", "memory_span": 17},
    {"batch": 5, "steps": 20, "width": 33, "prefix": 2, "memory_span": 1, "distances": 3},
)


@pytest.mark.parametrize("dtype, limit", [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_size_is_the_reference(sizes, dtype, limit):
    """Blocks of rows, tiles, vectors and what they leave over."""
    exact = build(**sizes)
    arguments = apply(lambda part: part.to(dtype) if part.is_floating_point() else part, exact)
    expected = gradients(partial(run, backend="reference"), exact)
    for ours, theirs in zip(gradients(partial(run, backend="cpp"), arguments), expected):
        assert_close(ours, theirs, limit)


@pytest.mark.parametrize("sizes", [{"batch": 0}, {"steps": 0}, {"steps": 0, "prefix": 2}], ids=str)
def test_nothing_to_compute(sizes):
    """No rows, no steps, no slots: whatever the reference answers."""
    answers = []
    for backend in ("reference", "cpp"):
        try:
            outputs, tape, _ = lstmn(**build(**sizes), backend=backend)
            answers.append((outputs.shape, tape.hidden.shape))
        except InputError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("by", ["in place", ".data, with gradients"])
def test_a_growing_tape_sees_weights_that_change(by):
    """Which are packed once as long as they are the same."""
    arguments = build(steps=4, batch=2)
    weights = arguments["weights"]
    trained = by != "in place"
    weights.key.requires_grad_(trained)
    growing = GrowingTape()

    def step(t, tape, backend):
        inputs = (arguments[name][:, t : t + 1] for name in ("query_inputs", "gate_inputs"))
        with torch.set_grad_enabled(trained):
            return lstmn(*inputs, weights, tape, backend=backend)[:2]

    tape = None
    for t in range(4):
        expected, tape = step(t, tape, "reference")
        actual, growing = step(t, growing, "cpp")
        torch.testing.assert_close(actual, expected)
        (weights.summary_gates.data if trained else weights.summary_gates).mul_(1.5)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def sizable():
    """Enough work a row that threads share it."""
    return build(batch=6, steps=9, width=160, prefix=200, source=200, distances=3)


def computed():
    """Results and gradients by name."""
    results, found = gradients(lambda parts: run(parts, "cpp"), sizable())
    return {**results, **{f"gradient of {name}": tensor for name, tensor in found.items()}}


def test_rows_and_vectors_that_are_strided_are_refused():
    """Only what the passes hand over is taken: kernels look at no strides within a row."""
    kernels, matrix = torch.ops.fairseq_lstmn, torch.zeros(3, 4)
    with pytest.raises(RuntimeError, match="rows are not contiguous"):
        kernels.product(torch.zeros(3, 5).T, kernels.pack(matrix), 4)
    with pytest.raises(RuntimeError, match="not packed"):
        kernels.product(torch.zeros(5, 3), matrix.unsqueeze(0), 4)


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("rows", [1, 9, 10, 11, 95])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_with_panels(rows, columns, dtype):
    kernels = torch.ops.fairseq_lstmn
    x, matrix = torch.randn(rows, 7, dtype=dtype), torch.randn(columns, 7, dtype=dtype).T
    actual = kernels.product(x, kernels.pack(matrix), columns)
    torch.testing.assert_close(actual, x @ matrix)


def test_the_same_input_gives_the_same_bits():
    first, second = computed(), computed()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rows_are_shared_between_threads(threads):
    threads(1)
    alone = computed()
    threads(2)
    together = computed()
    for name, expected in alone.items():
        torch.testing.assert_close(together[name], expected, rtol=1e-9, atol=1e-9)


def flushes_denormals():
    return bool(torch.tensor([1e-40]) * 1 == 0)


@pytest.fixture(params=[False, True], ids=["denormals", "flushed"])
def flush(request):
    torch.set_flush_denormal(request.param)
    yield request.param
    torch.set_flush_denormal(False)


def test_a_sharp_attention_has_no_denormals_and_others_keep_theirs(flush):
    """With them a step of a trained pointer took five times as long on an Intel Xeon."""
    arguments = apply(torch.Tensor.float, build(steps=20, width=16, distances=4))
    bias = torch.tensor([90.0, 90.0, 0, 0, 0])
    outputs, _, attention = lstmn(
        **{**arguments, "distance_bias": bias}, backend="cpp", return_attention=True
    )
    weights = attention.tape.detach()
    assert not ((weights > 0) & (weights < torch.finfo(torch.float32).tiny)).any()
    assert (weights[:, 10:] == 0).any()
    assert flushes_denormals() == flush


def test_without_a_build_auto_goes_on_and_its_own_name_raises(nothing_built):
    assert "fairseq-lstmn build" in dict(backends.report())["cpp"]
    lstmn(**build())
    with pytest.raises(InputError, match="cpp.*fairseq-lstmn build"):
        lstmn(**build(), backend="cpp")


def test_other_instructions_are_another_library(monkeypatch, nothing_built):
    found = set()
    for instructions in ("DEFAULT", "AVX2", "AVX512"):
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda instructions=instructions: instructions
        )
        cpp_library.library.cache_clear()
        found.add(cpp_library.library())
    assert len(found) == 3


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false", "c++ -include no-such.h"])
def test_a_build_that_fails_says_so_in_a_line_and_leaves_nothing(
    monkeypatch, nothing_built, compiler
):
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(InputError) as raised:
        cpp_library.build()
    assert compiler in str(raised.value) and "\n" not in str(raised.value)
    assert list(nothing_built.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(nothing_built):
    nothing_built.parent.mkdir()
    nothing_built.write_text("a file where the folder would be")
    with pytest.raises(InputError, match=str(nothing_built)):
        cpp_library.build()


def test_a_damaged_library_is_no_end(nothing_built):
    nothing_built.mkdir(parents=True)
    cpp_library.library().write_text("no library")
    assert "build" in dict(backends.report())["cpp"]
    lstmn(**build())
