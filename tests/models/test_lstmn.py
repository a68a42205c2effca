"""The encoder-decoder in one process: fusions, padding, options."""

import pytest
import torch

from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.errors import InputError
from tests.models import small
from tests.models.small import padded, small_task, some_tokens

FUSIONS = [
    dict(attention_fusion="none"),
    dict(attention_fusion="shallow"),
    dict(attention_fusion="shallow", shallow_query="token", shallow_context="add"),
    dict(attention_fusion="shallow", shallow_query="token"),
    dict(attention_fusion="shallow", shallow_context="add"),
    dict(attention_fusion="deep"),
]
SHAPES = [
    dict(),
    dict(encoder_layers=3, decoder_layers=3),
    dict(encoder_layers=2, decoder_layers=2, encoder_bidirectional=True, memory_span=3),
    dict(encoder_hidden_size=4, memory_span=1),
]
NO_SIZES = dict.fromkeys(small.SIZES["lstmn"])
EVERY_FUSION = pytest.mark.parametrize("fusion", FUSIONS, ids=str)
EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES, ids=str)


def build(task=None, **options):
    return small.model("lstmn", task, **options)


def padded_sources(task, left):
    """Three sources (3, 6) of 6, 4 and 1 tokens, padded on one side; their lengths."""
    return padded(task, 6, 6, 4, 1, left=left)


def targets(task):
    return some_tokens(task, 3, 8).flip(0)


@EVERY_SHAPE
@EVERY_FUSION
@pytest.mark.parametrize("left", [True, False])
def test_a_row_does_not_depend_on_padding_or_its_side(fusion, shape, left):
    task = small_task()
    model, previous = build(task, **fusion, **shape), targets(task)
    sources, lengths = padded_sources(task, left)
    scores, extra = model(sources, lengths, previous)
    for row, length in enumerate(lengths.tolist()):
        real = slice(6 - length, 6) if left else slice(0, length)
        alone, alone_extra = model(
            sources[row : row + 1, real], lengths[row : row + 1], previous[row : row + 1]
        )
        assert torch.allclose(scores[row], alone[0], atol=1e-5)
        if fusion["attention_fusion"] != "none":
            attention = extra["attn"][0][row]
            assert attention.shape == (8, 6)
            assert torch.allclose(attention[:, real], alone_extra["attn"][0][0], atol=1e-5)
            assert torch.allclose(attention.sum(dim=1), torch.ones(8), atol=1e-5)


def test_dropout_is_on_the_tapes_but_not_on_the_states_that_a_decoder_starts_from():
    task = small_task()
    model = build(task, encoder_layers=2, decoder_layers=2, encoder_dropout_out=1.0).train()
    encoded = model.encoder(*padded_sources(task, left=True))
    for k in range(2):
        assert not encoded["hidden"][k].any() and not encoded["memory"][k].any()
        assert encoded["last_hidden"][k].any() and encoded["last_memory"][k].any()


@EVERY_FUSION
def test_words_are_predicted_from_the_state_and_its_context(fusion):
    task = small_task()
    model, previous = build(task, **fusion), targets(task)
    sources, lengths = padded_sources(task, left=False)
    scores, _ = model(sources, lengths, previous)
    decoder = model.decoder
    state = decoder.first_state(model.encoder(sources, lengths))
    x, _, attention = decoder.forward_stack(previous, state)
    if fusion["attention_fusion"] == "none":
        assert attention is None
    else:
        joined = torch.cat([attention.context, x], dim=2)
        x = (joined @ decoder.output.attentional.join.weight.T).tanh()
    x = decoder.output.to_features(x)
    assert torch.allclose(scores, decoder.output.to_scores(x), atol=1e-6)


def test_the_encoders_tapes_are_those_of_its_layers():
    task = small_task()
    model = build(task, encoder_layers=2, decoder_layers=2, encoder_bidirectional=True)
    sources, lengths = padded_sources(task, left=True)
    encoded = model.encoder(sources, lengths)
    for k in range(2):
        assert encoded["hidden"][k].shape == encoded["memory"][k].shape == (3, 6, 14)
        forwards, backwards = encoded["hidden"][k][1, 2:].split(7, dim=1)
        assert torch.equal(encoded["last_hidden"][k][1], torch.cat([forwards[-1], backwards[0]]))
        forwards, backwards = encoded["memory"][k][1, 2:].split(7, dim=1)
        assert torch.equal(encoded["last_memory"][k][1], torch.cat([forwards[-1], backwards[0]]))
        assert not encoded["hidden"][k][1, :2].any() and not encoded["memory"][k][1, :2].any()


@EVERY_FUSION
def test_the_decoder_starts_where_the_encoder_ended(fusion):
    task = small_task()
    model, previous = build(task, **fusion), targets(task)
    sources, lengths = padded_sources(task, left=True)
    encoded = model.encoder(sources, lengths)
    scores, _ = model.decoder(previous, encoder_out=encoded)
    for name in ("last_hidden", "last_memory"):
        changed = {**encoded, name: [value + 0.5 for value in encoded[name]]}
        assert not torch.allclose(model.decoder(previous, encoder_out=changed)[0], scores)


@pytest.mark.parametrize("fusion", ["shallow", "deep"])
def test_every_parameter_gets_a_gradient(fusion):
    task = small_task()
    options = dict(encoder_layers=2, decoder_layers=2, encoder_hidden_size=4)
    model = build(task, attention_fusion=fusion, **options).train()
    sources, lengths = padded_sources(task, left=True)
    model(sources, lengths, targets(task))[0].square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize(
    "arch, fusion, embed_dim",
    [
        ("lstmn", "ShallowFusion", 512),
        ("lstmn_shallow", "ShallowFusion", 512),
        ("lstmn_deep", "DeepFusion", 512),
        ("lstmn_shallow_iwslt_de_en", "ShallowFusion", 256),
        ("lstmn_deep_iwslt_de_en", "DeepFusion", 256),
    ],
)
def test_presets(arch, fusion, embed_dim):
    model = small.model(arch, **(NO_SIZES if arch == "lstmn" else {}))
    [layer] = model.decoder.stack.layers
    assert type(layer.fusion).__name__ == fusion
    sizes = {
        model.encoder.embed_tokens.embedding_dim,
        model.decoder.embed_tokens.embedding_dim,
        layer.score.size(0),
        model.encoder.forwards[0].score.size(0),
    }
    assert sizes == {embed_dim}


def test_options_of_fairseqs_lstm():
    """Attention turned off; all embeddings shared; embeddings frozen."""
    assert build(decoder_attention="0").decoder.stack.layers[0].fusion is None
    options = dict(encoder_embed_dim=6, decoder_embed_dim=6, decoder_out_embed_dim=6)
    model = build(share_all_embeddings=True, **options)
    assert model.encoder.embed_tokens is model.decoder.embed_tokens
    assert model.decoder.output.to_scores is None
    model = build(encoder_freeze_embed=True, decoder_freeze_embed=True)
    assert not model.encoder.embed_tokens.weight.requires_grad
    assert not model.decoder.embed_tokens.weight.requires_grad


def test_neither_side_has_a_longest_text_whatever_the_limits_of_the_task():
    assert build().max_positions() == (UNLIMITED, UNLIMITED)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (dict(encoder_layers=2), "--encoder-layers 2 and --decoder-layers 1"),
        (dict(decoder_layers=0, encoder_layers=0), "--encoder-layers 0"),
        (dict(memory_span=-1), "--memory-span -1"),
        (dict(encoder_dropout_in=-0.1), "--encoder-dropout-in -0.1"),
        (dict(share_all_embeddings=True), "--encoder-embed-dim 6 and --decoder-embed-dim 5"),
        (dict(share_decoder_input_output_embed=True), "--decoder-out-embed-dim 8"),
    ],
)
def test_options_that_do_not_fit_are_named(options, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        build(**options)
    assert "\n" not in str(error.value)
