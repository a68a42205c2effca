"""Triton's kernels against the reference: compiled where there is a CUDA device, else interpreted.

The interpreter takes milliseconds a launch, so sizes are small.
"""

from functools import partial

import pytest
import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops import backends, lstmn, types

from .cases import (
    DEVICE,
    MAY_BE_RAGGED,
    apply,
    assert_close,
    build,
    gradients,
    on_device,
    run,
    run_on_device,
)

by_triton = partial(run_on_device, backend="triton")


def interpret_without_a_device(patch):
    if DEVICE == "cpu":
        patch.setenv("TRITON_INTERPRET", "1")


with pytest.MonkeyPatch.context() as patch:
    interpret_without_a_device(patch)  # Triton asks when it is imported, and the kernels are
    pytest.importorskip("triton", reason="Triton is not installed")


@pytest.fixture(autouse=True)
def interpreted_without_a_device(monkeypatch):
    interpret_without_a_device(monkeypatch)


EVERYTHING = dict(steps=3, prefix=2, source=3, ragged=MAY_BE_RAGGED, distances=2)
CASES = {
    "plain": dict(steps=4),
    "one number wide": dict(steps=2, width=1, prefix=3),
    "wider than a power of two": dict(steps=2, width=33, source=2, fusion="shallow"),
    "more slots than a tile": dict(steps=2, width=70, prefix=70, batch=1),
    "span": dict(steps=4, prefix=2, memory_span=2),
    "deep": EVERYTHING,
    "shallow": dict(EVERYTHING, fusion="shallow"),
    "token": dict(EVERYTHING, fusion="token", memory_span=3),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype, limit", [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
def test_results_and_gradients(case, dtype, limit):
    # measured: 5e-15 and 3e-6, the latter at the gradient of a single number
    arguments = apply(lambda tensor: tensor.to(dtype), build(**CASES[case]))
    actual = gradients(by_triton, arguments)
    expected = gradients(partial(run, backend="reference"), apply(torch.Tensor.double, arguments))
    assert_close(actual[0], expected[0], limit)
    assert_close(actual[1], expected[1], limit)


@pytest.mark.parametrize("dtype, limit", [(torch.bfloat16, 3e-3), (torch.float16, 5e-4)], ids=str)
def test_half_precisions(dtype, limit):
    arguments = apply(lambda tensor: tensor.to(dtype), build(**EVERYTHING))
    expected = run(apply(torch.Tensor.double, arguments), "reference")
    actual = by_triton(arguments)
    assert_close(actual, expected, limit)
    assert {tensor.dtype for tensor in actual.values()} == {dtype}


def test_hypotheses_that_share_a_source():
    arguments = build(batch=4, steps=1, prefix=3, source=3, ragged=["source"])
    keys, slots, *inputs, mask = arguments["source"]
    arguments["source"] = types.Source(keys[:2], slots[:2], *inputs, mask[:2])
    with torch.no_grad():
        assert_close(by_triton(arguments), run(arguments, "reference"), 1e-12)


def test_a_tape_that_grows_in_place():
    arguments = build(steps=4)
    expected = run(arguments, "reference")
    pieces, tape = [], None
    with torch.no_grad():
        for t in range(4):
            part = {name: arguments[name][:, t : t + 1] for name in ("query_inputs", "gate_inputs")}
            part = on_device(dict(arguments, **part, tape=tape))
            made, tape, _ = lstmn(**part, backend="triton")
            pieces.append(made.cpu())
    assert_close({"outputs": torch.cat(pieces, dim=1)}, {"outputs": expected["outputs"]}, 1e-12)


def test_large_numbers():
    arguments = build(steps=3, prefix=2)
    arguments = apply(lambda tensor: 1e4 * tensor, arguments)
    assert_close(by_triton(arguments), run(arguments, "reference"), 1e-12)


def test_small_numbers():
    arguments = apply(lambda tensor: 1e-6 * tensor.float(), build(steps=3, prefix=2))
    expected = run(apply(torch.Tensor.double, arguments), "reference")
    assert_close(by_triton(arguments), expected, 1e-6)


def test_the_same_input_gives_the_same_bits():
    arguments = build(**EVERYTHING)
    first, second = (gradients(by_triton, arguments) for _ in range(2))
    for name in (0, 1):
        assert all(torch.equal(first[name][key], second[name][key]) for key in first[name])


def test_the_cpu_is_refused_but_by_the_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert dict(backends.report("cpu"))["triton"] == "runs on CUDA devices only"
    with pytest.raises(InputError, match="triton.*CUDA"):
        lstmn(**build(), backend="triton")


def test_auto_prefers_it_to_torch_on_cuda():
    able = [name for name, obstacle in backends.report("cuda") if obstacle is None]
    assert able == ["triton", "triton_eager", "recompute", "reference"]
