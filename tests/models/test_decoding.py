"""Incremental decoding: scores as without it, beams followed, caches that grow in place."""

import pytest
import torch

from fairseq_lstmn.modules.decoder import STATE
from fairseq_lstmn.ops import GrowingTape
from tests.models import small
from tests.models.small import padded, small_task, some_tokens
from tests.models.test_lstmn import FUSIONS, SHAPES

LANGUAGE_MODELS = [
    dict(),
    dict(decoder_layers=3, skip_connections=True),
    dict(decoder_layers=2, residuals=True, memory_span=3),
    dict(distance_bias=2, distance_bias_init=4.0, memory_span=1),
    dict(decoder_layers=2, residuals=True, pointer=True),
    dict(pointer=True, memory_span=3),
    dict(decoder_layers=3, tape_layers=1, distance_bias=2, pointer=True),
    dict(decoder_layers=2, tape_layers=0, pointer=True),
    dict(tape_layers=0, pointer=True, memory_span=3),
]
TRANSLATIONS = [{**fusion, **shape} for fusion in FUSIONS for shape in SHAPES]
EVERY_MODEL = pytest.mark.parametrize(
    "arch, options",
    [("lstmn_lm", options) for options in LANGUAGE_MODELS]
    + [("lstmn", options) for options in TRANSLATIONS],
    ids=str,
)


@pytest.fixture(params=[True, False], ids=["gradients", "no gradients"])
def either_mode(request):
    """The test runs with gradients, where tapes are copied, and without, where they grow."""
    with torch.set_grad_enabled(request.param):
        yield


class Decoding:
    """A small model, three rows of targets and, of a translation, their sources."""

    def __init__(self, arch="lstmn_lm", **options):
        task = small_task()
        self.model, self.state = small.model(arch, task, **options), {}
        self.tokens = some_tokens(task)
        self.sources = padded(task, 6, 6, 4, 1, left=True) if arch == "lstmn" else ()
        self.encoded = self.model.encoder(*self.sources) if self.sources else None

    def whole(self, rows=slice(None), steps=9):
        """Scores and attention of all steps at once."""
        sources = [part[rows] for part in self.sources]
        scores, extra = self.model(*sources, self.tokens[rows, :steps])
        return scores, extra["attn"][0]

    def step(self, t, rows=slice(None)):
        """Scores and attention of what is new up to step t."""
        scores, extra = self.model.decoder(
            self.tokens[rows, : t + 1], self.encoded, incremental_state=self.state
        )
        return scores, extra["attn"][0]

    def reorder(self, order):
        self.model.decoder.reorder_incremental_state_scripting(self.state, order)
        if self.sources:
            self.encoded = self.model.encoder.reorder_encoder_out(self.encoded, order)

    def tapes(self):
        return self.model.decoder.get_incremental_state(self.state, STATE).tapes


@pytest.mark.parametrize("need_attn", [True, False])
def test_generation_has_attention_where_alignments_are_asked_for(need_attn):
    decoding = Decoding("lstmn", attention_fusion="deep")
    scores, attention = decoding.whole()
    decoding.model.make_generation_fast_(need_attn=need_attn)
    with torch.no_grad():
        again, then = decoding.whole()
    torch.testing.assert_close(again, scores, rtol=0, atol=0)
    assert then is None if not need_attn else torch.equal(then, attention)


@EVERY_MODEL
@pytest.mark.usefixtures("either_mode")
def test_step_by_step_scores_equal_those_of_the_whole(arch, options):
    decoding = Decoding(arch, **options)
    scores, attention = decoding.whole()
    assert (attention is None) == (options.get("attention_fusion", "none") == "none")
    for t in range(9):
        step, attended = decoding.step(t)
        assert torch.allclose(step[:, -1], scores[:, t], atol=1e-5)
        if attention is not None:
            assert torch.allclose(attended[:, -1], attention[:, t], atol=1e-5)


@pytest.mark.parametrize(
    "arch, options",
    [
        ("lstmn_lm", dict(decoder_layers=2)),
        ("lstmn_lm", dict(tape_layers=0, pointer=True)),
        *(("lstmn", fusion) for fusion in FUSIONS),
    ],
    ids=str,
)
@pytest.mark.usefixtures("either_mode")
def test_reordering_follows_the_beam_even_when_the_batch_shrinks(arch, options):
    """The first call reads a whole prefix."""
    decoding, order = Decoding(arch, **options), torch.tensor([2, 0])
    first, _ = decoding.step(4)
    assert torch.allclose(first, decoding.whole()[0][:, :5], atol=1e-5)
    decoding.reorder(order)
    after, _ = decoding.step(5, order)
    assert torch.allclose(after[:, -1], decoding.whole(order, 6)[0][:, -1], atol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_same_tapes_grow(mode):
    decoding = Decoding(decoder_layers=2, memory_span=3)
    whole, _ = decoding.whole()
    with mode():
        scores = [decoding.step(t)[0][:, -1] for t in range(4)]
        before = decoding.tapes()
        decoding.reorder(torch.tensor([0, 1, 2]))
        scores += [decoding.step(t)[0][:, -1] for t in range(4, 9)]
    assert torch.allclose(torch.stack(scores, dim=1), whole, atol=1e-5)
    for old, new in zip(before, decoding.tapes()):
        assert type(old) is GrowingTape and new is old
        assert new.tape().hidden.size(1) == 3


def test_gradients_flow_through_steps():
    decoding = Decoding()
    weight = decoding.model.decoder.embed_tokens.weight
    steps = [decoding.step(t)[0][:, -1] for t in range(9)]
    assert type(decoding.tapes()[0]) is GrowingTape
    (through_steps,) = torch.autograd.grad(steps[-1].sum(), weight)
    (expected,) = torch.autograd.grad(decoding.whole()[0][:, -1].sum(), weight)
    torch.testing.assert_close(through_steps, expected)
