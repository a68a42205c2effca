"""The compiled kernels beyond the operation's contract, which every backend's tests hold."""

import math

import pytest
import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import backends, lstmn
from fairseq_lstmn.ops.cpp import cpp_library

from .cases import build, gradients, run


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
