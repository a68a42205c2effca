"""Each set of step kernels by itself: reads and cells against torch's autograd.

B batch, G sentences, n slots, H hidden width, V width of a slot. Triton's kernels are interpreted
where there is no CUDA device.
"""

import math

import pytest
import torch

from fairseq_lstmn.ops.passes import step_kernels

from .cases import DEVICE, apply, assert_close, build, flat, on_device, run

WIDTH = 5
SETS = "torch", "triton", "triton in parts"


def interpret_without_a_device(patch):
    if DEVICE == "cpu":
        patch.setenv("TRITON_INTERPRET", "1")


with pytest.MonkeyPatch.context() as patch:
    interpret_without_a_device(patch)  # Triton asks when it is imported, and the kernels are
    try:
        import triton  # noqa: F401
    except ImportError:
        SETS = SETS[:1]


def set_of(name, monkeypatch):
    """The kernels of that name for a pass in float64."""
    like = torch.empty(0, dtype=torch.float64)
    if name == "torch":
        return step_kernels.of_a_pass(like)
    interpret_without_a_device(monkeypatch)
    from fairseq_lstmn.ops.triton import triton_kernels

    if name == "triton in parts":
        monkeypatch.setattr(triton_kernels.launch, "LEAST", 2)
        monkeypatch.setattr(triton_kernels.launch, "TILE", 16)  # two slots at a time
        monkeypatch.setattr(triton_kernels.cell, "ELEMENTS", 4)
        monkeypatch.setattr(triton_kernels.cell, "LATER", 2)
    return triton_kernels.of_a_pass(like.to(DEVICE))


@pytest.fixture(params=SETS)
def kernels(request, monkeypatch):
    return set_of(request.param, monkeypatch)


@pytest.fixture(params=SETS[:2])
def cells(request, monkeypatch):
    return set_of(request.param, monkeypatch)


def device_of(kernels):
    return "cpu" if kernels is step_kernels else DEVICE


READS = {
    # slots in memory, first and last read, readers a sentence, bias, blocked slots
    "one slot": (1, 0, 1, 1, False, None),
    "no slot": (1, 0, 0, 1, True, None),
    "two slots": (2, 0, 2, 1, True, None),
    "five slots": (5, 0, 5, 1, False, None),
    "a span": (9, 3, 8, 1, True, None),
    "a span of one": (9, 7, 8, 1, True, None),
    "many": (67, 0, 67, 1, True, None),
    "blocked": (13, 0, 13, 1, True, 0.4),
    "blocked in a span": (13, 4, 12, 1, True, 0.4),
    "all blocked": (7, 0, 7, 1, False, 1.0),
    "readers": (11, 0, 11, 3, False, None),
    "readers of blocked slots": (11, 2, 11, 3, True, 0.4),
}


class Read:
    """The arguments of a read and its way back; like a tape's, rows do not lie side by side."""

    def __init__(self, slots, first, last, readers, bias, blocked, sentences=2):
        self.first, self.last, self.readers = first, last, readers
        self.generator = torch.Generator().manual_seed(0)
        rows = sentences * readers
        self.keys = self.normal(sentences, slots + 2, WIDTH)[:, :slots]
        self.slots = self.normal(sentences, slots + 3, 2 * WIDTH)[:, :slots]
        self.queries = self.normal(rows, 2, WIDTH)[:, 1]
        self.score = 2 * self.normal(WIDTH)
        self.bias = self.normal(slots) if bias else None
        self.blocked = None
        if blocked is not None:
            chance = torch.rand(rows, slots, generator=self.generator)
            self.blocked = chance < blocked
        self.attention = torch.full((rows, 3, slots), 7.0, dtype=torch.float64)[:, 1]
        self.sums = self.normal(rows, 2, 2 * WIDTH)[:, 0]

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def to(self, device):
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor) and device != "cpu":
                moved = torch.empty_strided(value.size(), value.stride(), device=device)
                setattr(self, name, moved.to(value.dtype).copy_(value))
        return self

    def by(self, kernels):
        kernels.attend(
            self.keys, self.slots, self.queries, self.score, self.bias, self.blocked,
            self.attention, self.sums, self.first, self.last,
        )  # fmt: skip

    def expected(self):
        """The weights, the sums and the scores by equations (4) to (6), with autograd."""
        seen = slice(self.first, self.last)
        keys, slots = (
            part[:, seen].repeat_interleave(self.readers, dim=0) for part in (self.keys, self.slots)
        )
        scores = torch.tanh(keys + self.queries.unsqueeze(1)) @ self.score
        if self.bias is not None:
            scores = scores + self.bias[len(self.bias) - scores.size(1) :]
        if self.blocked is not None:
            blocked = self.blocked[:, seen]
            scores = scores.masked_fill(blocked, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=1)
        if self.blocked is not None:
            weights = weights.masked_fill(blocked, 0)
        return weights, torch.einsum("bn,bnv->bv", weights, slots), scores


@pytest.mark.parametrize("case", READS)
def test_read(kernels, case):
    read = Read(*READS[case]).to(device_of(kernels))
    weights, sums, _ = read.expected()
    read.by(kernels)
    seen = slice(read.first, read.last)
    actual = {"weights": read.attention[:, seen], "sums": read.sums}
    assert_close(actual, {"weights": weights, "sums": sums}, 1e-14)
    assert (read.attention[:, : read.first] == 7).all()
    assert (read.attention[:, read.last :] == 7).all()


@pytest.mark.parametrize("given", [True, False], ids=["weights wanted", "sums alone"])
@pytest.mark.parametrize("case", [name for name in READS if "reader" not in name])
def test_read_backward(kernels, case, given):
    read = Read(*READS[case]).to(device_of(kernels))
    read.by(kernels)
    d_sums = read.normal(*read.sums.shape).to(read.keys.device)
    d_attention = read.normal(*read.attention.shape).to(read.keys.device) if given else None
    d_queries = torch.empty_like(read.queries)
    # added to
    d_score, d_keys = torch.ones_like(read.queries), torch.ones_like(read.keys)
    d_bias = torch.ones_like(read.attention) if read.bias is not None else None
    kernels.attend_backward(
        read.keys, read.slots, read.queries, read.score, read.attention, read.sums, d_sums,
        d_attention, d_score, d_queries, d_keys, d_bias, read.first, read.last,
    )  # fmt: skip

    leaves = read.keys, read.queries, read.score = [
        part.clone().requires_grad_() for part in (read.keys, read.queries, read.score)
    ]
    weights, sums, scores = read.expected()
    loss = (sums * d_sums).sum()
    if given:
        loss = loss + (weights * d_attention[:, read.first : read.last]).sum()
    wanted = torch.autograd.grad(loss, [*leaves, scores], materialize_grads=True)
    expected = dict(zip(("keys", "queries", "score", "scores"), wanted))
    actual = {
        "keys": (d_keys - 1) * read.score,
        "queries": d_queries,
        "score": (d_score - 1).sum(dim=0),
        "scores": expected["scores"],
    }
    if d_bias is not None:  # its last entries are those of the slots read
        seen = slice(d_bias.size(1) - (read.last - read.first), None)
        assert (d_bias[:, : seen.start] == 1).all()
        actual["scores"] = d_bias[:, seen] - 1
    # measured: 2.4e-14, as the mean of the weights' gradients has a rounding of its own
    assert_close(actual, expected, 5e-14)


@pytest.mark.skipif(len(SETS) == 1, reason="Triton is not installed")
def test_the_last_of_a_rows_programs_leaves_nothing_behind(monkeypatch):
    """What counts them is zero again for the next launch."""
    kernels = set_of("triton in parts", monkeypatch)
    read = Read(*READS["five slots"]).to(DEVICE)
    read.by(kernels)
    first = read.sums.clone()
    read.sums.zero_()
    read.by(kernels)
    (parts,) = kernels.attend.args
    assert torch.equal(read.sums, first) and not parts.arrivals.any() and len(parts.arrivals)


@pytest.mark.parametrize("backend", ["recompute", "cpp", *SETS[1:2]])
def test_arguments_and_gradients_of_any_strides(backend, monkeypatch):
    """Kernels want a row's numbers side by side; callers need not know."""
    if backend == "triton":
        interpret_without_a_device(monkeypatch)
    arguments = build(steps=3, prefix=2, source=3, ragged=["source"], distances=2)

    def computed(backend, change):
        leaves = on_device(apply(lambda part: part.clone().requires_grad_(), arguments))
        results = run(apply(change, leaves), backend)
        # the gradient of a sum is one number, expanded
        loss = results["attention.tape"].sum() + results["outputs"].sum()
        loss = loss + results["attention.source"].sum(dim=(0, 1)) @ torch.arange(3.0).to(loss)
        found = torch.autograd.grad(loss, list(flat(leaves).values()), materialize_grads=True)
        return results, dict(zip(flat(leaves), found))

    def in_columns(part):
        if part.dim() == 1:
            return torch.stack([part, -part], dim=1)[:, 0]
        return part.transpose(0, -1).contiguous().transpose(0, -1)

    expected, actual = computed("reference", torch.clone), computed(backend, in_columns)
    for ours, theirs in zip(actual, expected):
        assert_close(ours, theirs, 1e-12)


@pytest.mark.parametrize("rows, slots", [(1, 10**5), (40, 35), (40, 200), (256, 4096), (0, 0)])
def test_parts_have_every_slot_and_few_slots_have_one_program(rows, slots):
    launch = pytest.importorskip("fairseq_lstmn.ops.triton.triton_kernels.launch")
    parts, each = launch.split(rows, slots)
    assert parts * each >= slots > (parts - 1) * each or slots == 0
    assert parts * rows <= max(rows, launch.PROGRAMS)
    assert parts == 1 or each >= launch.LEAST
    assert parts == {(1, 10**5): 256, (40, 35): 2, (40, 200): 6}.get((rows, slots), 1)


@pytest.mark.parametrize("later", [0, 1, 5])
@pytest.mark.parametrize("queries", [True, False], ids=["a next step", "none"])
@pytest.mark.parametrize("fuses", [True, False], ids=["fused", "alone"])
def test_cell(kernels, fuses, queries, later):
    generator = torch.Generator().manual_seed(0)
    device = device_of(kernels)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(device)

    gates, memory = normal(3, 4 * WIDTH), normal(3, 2 * WIDTH)[:, WIDTH:]
    query, products = normal(3, 2, WIDTH)[:, 1], normal(3, 5 * WIDTH)
    fused = normal(3, WIDTH) if fuses else None
    attention, d_sums = normal(3, 6, 6)[:, :later, 2], normal(3, 7, 2 * WIDTH)[:, 2 : 2 + later]
    d_slot = normal(3, 2 * WIDTH)
    leaves = [part.clone().requires_grad_() for part in (gates + products[:, :-WIDTH], memory)]
    input_, forget, candidate, output = leaves[0].chunk(4, dim=1)
    state = forget.sigmoid() * leaves[1] + input_.sigmoid() * candidate.tanh()
    state = state if fused is None else state + fused
    state.retain_grad()
    expected = {"slot": torch.cat([output.sigmoid() * state.tanh(), state], dim=1)}
    expected["slot"].backward(d_slot + torch.einsum("bm,bmv->bv", attention, d_sums))
    expected["query"] = query + products[:, -WIDTH:]

    slot, d_gates = normal(3, 3, 2 * WIDTH)[:, 1], torch.empty_like(gates)
    kernels.cell(products, gates, query if queries else None, memory, fused, slot)
    kernels.cell_backward(gates, memory, slot, attention, d_sums, d_slot, d_gates)
    actual = {"slot": slot, "query": query if queries else expected["query"]}
    assert_close(actual, apply(torch.Tensor.detach, expected), 1e-14)
    actual = {"gates": d_gates, "state": d_slot[:, :WIDTH], "memory": d_slot[:, WIDTH:]}
    wanted = {"gates": leaves[0].grad, "state": state.grad, "memory": leaves[1].grad}
    assert_close(actual, wanted, 1e-14)


def activated(cells, x):
    """The logistic function and tanh of ``x`` (n,), by gates that hold it."""
    gates, slot = x.repeat(4).unsqueeze(0), x.new_empty(1, 2 * len(x))
    memory = torch.zeros_like(x).unsqueeze(0)
    cells.cell(torch.zeros_like(gates), gates, None, memory, None, slot)
    input_, forget, candidate, output = gates[0].chunk(4)
    torch.testing.assert_close((forget, output), (input_, input_), rtol=0, atol=0, equal_nan=True)
    return input_, candidate


def floats():
    """Float32 numbers of every exponent, denormals too."""
    positive = torch.arange(0, 0x7F800000, 60013, dtype=torch.int32).view(torch.float32)
    return torch.cat([-positive, positive])


def doubles():
    small = torch.logspace(-300, 0, 3001, dtype=torch.float64)
    return torch.cat([torch.linspace(-700, 700, 10001, dtype=torch.float64), small, -small])


# measured: 1.9e-7 and 2.2e-7 by the interpreter, 3e-16 and 3.5e-16;
# on a device the exp of Triton is off by 1e-7 |x| in float32
@pytest.mark.parametrize("x, limit", [(floats(), 6e-7), (doubles(), 1e-15)], ids=["32", "64"])
def test_digits_of_the_cells_functions(cells, x, limit):
    device = device_of(cells)
    for actual, function in zip(activated(cells, x.to(device)), (torch.sigmoid, torch.tanh)):
        loose = device != "cpu" and function is torch.sigmoid and x.dtype == torch.float32
        tiny = torch.finfo(x.dtype).tiny
        assert_digits(actual, function(x.double()), 1e-5 if loose else limit, tiny)


def assert_digits(actual, expected, limit, tiny):
    """``tiny`` is the smallest number with all its digits."""
    difference = (actual.cpu().double() - expected).abs()
    normal = expected.abs() >= tiny
    assert (difference / expected.abs())[normal].max() <= limit
    assert (difference[~normal] <= 2 * tiny).all() and actual.abs().max() <= 1


def test_functions_of_what_is_no_number(cells):
    x = torch.tensor([math.inf, -math.inf, math.nan, 0.0], device=device_of(cells))
    for actual, function in zip(activated(cells, x), (torch.sigmoid, torch.tanh)):
        torch.testing.assert_close(actual, function(x), rtol=0, atol=6e-7, equal_nan=True)
