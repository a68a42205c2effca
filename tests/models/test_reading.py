"""Sentence and pair classifiers in one process: sizes, padding, fusion, embeddings."""

import pytest
import torch
from fairseq import models
from omegaconf import OmegaConf

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.classifiers import LSTMNClassifierConfig
from tests.models import small
from tests.models.small import small_task

SENTENCES = [
    ("lstmn_classifier", dict()),
    ("lstmn_classifier", dict(encoder_layers=2, memory_span=2, distance_bias=2)),
    ("lstm_classifier", dict(encoder_layers=2)),
    ("tcnn_classifier", dict()),
]
PAIRS = [
    ("lstmn_nli", dict()),
    ("lstmn_nli", dict(attention_fusion="shallow")),
    ("lstmn_nli", dict(attention_fusion="shallow", shallow_query="summary")),
    ("lstmn_nli", dict(attention_fusion="deep")),
    ("lstmn_nli", dict(attention_fusion="deep", encoder_layers=2, memory_span=2)),
    ("lstmn_nli", dict(attention_fusion="deep", separate_readers=True)),
    ("lstm_nli", dict(encoder_layers=2)),
]


def inputs(task, model):
    names = ["src_tokens", "src_lengths"]
    parts = [*small.padded(task, 7, 3, 7, 1)]
    if model.endswith("nli"):
        names += ["hypothesis_tokens", "hypothesis_lengths"]
        parts += small.padded(task, 5, 5, 2, 4)
    return dict(zip(names, parts))


@pytest.mark.parametrize("model, options", SENTENCES + PAIRS, ids=str)
def test_a_row_of_a_batch_is_the_row_alone(model, options):
    task = small_task()
    reader, batch = small.model(model, task, **options), inputs(task, model)
    together, _ = reader(**batch, classification_head_name="head")
    assert together.shape == (3, 3)
    for row in range(3):
        alone = {}
        for tokens, lengths in zip(*[iter(batch)] * 2):
            alone[lengths] = batch[lengths][row : row + 1]
            alone[tokens] = batch[tokens][row : row + 1, : int(alone[lengths])]
        expected, _ = reader(**alone, classification_head_name="head")
        assert torch.allclose(together[row], expected[0], atol=1e-6)


@pytest.mark.parametrize("model, options", SENTENCES + PAIRS, ids=str)
def test_every_parameter_gets_a_gradient(model, options):
    task = small_task()
    reader = small.model(model, task, **options).train()
    scores, _ = reader(**inputs(task, model), classification_head_name="head")
    scores.logsumexp(dim=1).sum().backward()
    without = [name for name, p in reader.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize("fusion", ["shallow", "deep"])
def test_hypotheses_read_their_premise_only_with_fusion(fusion):
    task = small_task()
    batch = inputs(task, "lstmn_nli")
    changed = dict(batch, src_tokens=batch["src_tokens"].roll(1, dims=0))
    changed["src_lengths"] = batch["src_lengths"].roll(1)
    for options, reads in ((dict(), False), (dict(attention_fusion=fusion), True)):
        model = small.model("lstmn_nli", task, **options)
        hypothesis = model(**batch)[0][:, 12:]
        assert torch.allclose(model(**changed)[0][:, 12:], hypothesis) != reads


def test_a_hypothesis_reads_from_an_empty_tape():
    task = small_task()
    batch = inputs(task, "lstmn_nli")
    plain, fused = (small.model("lstmn_nli", task, attention_fusion=f) for f in ("none", "deep"))
    plain.load_state_dict(fused.state_dict(), strict=False)
    # nothing comes through a closed gate, and no state of the premise another way
    torch.nn.init.constant_(fused.reader.hypothesis.layers[0].fusion.token_gate.bias, -1e4)
    torch.testing.assert_close(fused(**batch)[0], plain(**batch)[0])


def test_the_gate_of_deep_fusion_starts_nearly_closed():
    model = small.model("lstmn_nli", attention_fusion="deep")
    fusion = model.reader.hypothesis.layers[0].fusion
    assert torch.equal(fusion.token_gate.bias, torch.full((12,), -3.0))
    assert fusion.token_gate.weight.abs().max() <= 0.1


@pytest.mark.parametrize(
    "arch, published",
    [
        ("lstmn_nli_100", 260_000),
        ("lstmn_nli_shallow_100", 280_000),
        ("lstmn_nli_deep_100", 330_000),
        ("lstmn_nli_shallow_300", 1_400_000),
        ("lstmn_nli_deep_300", 1_700_000),
        ("lstmn_nli_shallow_450", 2_800_000),
        ("lstmn_nli_deep_450", 3_400_000),
    ],
)
def test_sizes_are_those_of_table_3(arch, published):
    model = small.model(arch)
    model.words = None
    counted = sum(parameter.numel() for parameter in model.parameters())
    # The shallow and deep rows agree to 5%. The paper's 260k without fusion lies between what
    # one shared reader and its head have (240k) and the shallow model.
    assert counted == pytest.approx(published, rel=0.08 if arch == "lstmn_nli_100" else 0.05)


def test_sentiment_sizes_are_the_papers():
    model = small.model("lstmn_sst_2layer")
    assert [layer.key.shape for layer in model.reader.layers] == [(168, 168)] * 2
    assert model.words.embed_tokens.embedding_dim == 300


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("w0 1 2 3 4 5\nw7 5 4 3 2 1\n")
    return str(path)


def gradients(model, task, epoch):
    model.zero_grad()
    model.words.set_epoch(epoch)
    tokens = torch.arange(4, len(task.source_dictionary)).unsqueeze(0)
    lengths = torch.tensor([tokens.size(1)])
    model(tokens, lengths)[0].sum().backward()
    return model.words.embed_tokens.weight.grad.clone()


@pytest.mark.parametrize("scale", [0.35, 0.0])
def test_pretrained_rows_are_slower_in_the_first_epoch(vectors, scale):
    task = small_task()
    model = small.model(
        "lstmn_classifier", task, encoder_embed_path=vectors, first_epoch_scale=scale, dropout=0.0
    ).train()
    first, second = gradients(model, task, 1), gradients(model, task, 2)
    pretrained = [task.source_dictionary.index(word) for word in ("w0", "w7")]
    torch.testing.assert_close(first[pretrained], scale * second[pretrained])
    first[pretrained], second[pretrained] = 0, 0
    torch.testing.assert_close(first, second)
    assert second.any()


def test_checkpoints_of_version_0_2_0_load():
    """Their presets lack an option, and their weights stand beside which rows are pretrained."""
    model = small.model("lstmn_sst")
    config = vars(LSTMNClassifierConfig())
    del config["skip_bad_vectors"]
    saved = OmegaConf.create({**config, "_name": "lstmn_sst"})
    again = models.build_model(saved, small_task(), from_checkpoint=True)
    again.register_classification_head("head", num_classes=3)
    state = {**model.state_dict(), "words.pretrained": torch.zeros(24, dtype=torch.bool)}
    again.load_state_dict(state, strict=True)
    assert torch.equal(again.words.embed_tokens.weight, model.words.embed_tokens.weight)


def test_other_rows_are_drawn_with_the_standard_deviation_asked_for(vectors):
    task = small_task(words=2000)
    model = small.model("lstmn_classifier", task, encoder_embed_path=vectors, unknown_embed_std=1.0)
    weight = model.words.embed_tokens.weight
    assert weight[task.source_dictionary.index("w7")].tolist() == [5, 4, 3, 2, 1]
    assert weight[10:].std().item() == pytest.approx(1, abs=0.03)  # 3 of its standard errors
    assert not weight[task.source_dictionary.pad()].any()


@pytest.mark.parametrize(
    "model, options, complaint",
    [
        ("lstmn_classifier", dict(encoder_layers=0), "--encoder-layers 0"),
        ("lstm_nli", dict(pooler_dropout=1.5), "--pooler-dropout 1.5"),
        ("lstmn_nli", dict(first_epoch_scale=-1.0), "--first-epoch-scale -1"),
        ("lstmn_nli", dict(memory_span=-1), "--memory-span -1"),
        ("tcnn_classifier", dict(tcnn_decay=1.0), "--tcnn-decay 1.0"),
    ],
)
def test_options_out_of_range_are_named(model, options, complaint):
    with pytest.raises(InputError, match=complaint):
        small.model(model, **options)
