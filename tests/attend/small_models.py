"""Small untrained models with the tasks that readers ask, and lines that they can read."""

from types import SimpleNamespace

import torch
from fairseq import models
from fairseq.data import Dictionary
from fairseq.models.lstm import LSTMModel

from fairseq_lstmn.data.data_folder import Normalisation
from fairseq_lstmn.inference.checkpoint import TrainedModel
from fairseq_lstmn.models.classifiers import LSTMNClassifierConfig
from fairseq_lstmn.models.lstmn import LSTMNConfig
from fairseq_lstmn.models.lstmn_lm import LSTMNLanguageModelConfig
from fairseq_lstmn.models.nli import LSTMNPairConfig
from tests.models.small import build, small_task

DECODER = dict(decoder_embed_dim=8, decoder_out_embed_dim=8, decoder_hidden_size=12)
ENCODER = dict(encoder_embed_dim=8, encoder_hidden_size=12)
BOTH = {**DECODER, **ENCODER}
DEEP = dict(encoder_bidirectional=True, encoder_layers=2, decoder_layers=2)
ADAPTIVE = dict(criterion_name="adaptive_loss", adaptive_softmax_cutoff="10")
CASES = {
    "lm": ("lstmn_lm", DECODER),
    "lm, 3 layers, span": ("lstmn_lm", dict(DECODER, decoder_layers=3, memory_span=2)),
    "lm, pointer": ("lstmn_lm", dict(DECODER, decoder_layers=2, tape_layers=1, pointer=True)),
    "lm, no tape": ("lstmn_lm", dict(DECODER, tape_layers=0, pointer=True)),
    "lm, adaptive softmax": ("lstmn_lm", dict(DECODER, **ADAPTIVE)),
    "translation": ("lstmn", dict(BOTH, attention_fusion="shallow")),
    "translation, none": ("lstmn", dict(BOTH, attention_fusion="none")),
    "translation, deep": ("lstmn", dict(BOTH, attention_fusion="deep", **DEEP)),
    "classifier": ("lstmn_classifier", dict(ENCODER, encoder_layers=2)),
    "pair": ("lstmn_nli", dict(ENCODER, attention_fusion="deep", encoder_layers=2)),
    "pair, apart": (
        "lstmn_nli",
        dict(ENCODER, attention_fusion="shallow", separate_readers=True),
    ),
    "lstm": ("lstm", {}),
}
CONFIGS = {
    "lstmn_lm": LSTMNLanguageModelConfig,
    "lstmn": LSTMNConfig,
    "lstmn_classifier": LSTMNClassifierConfig,
    "lstmn_nli": LSTMNPairConfig,
}
RESOLVED = dict(criterion_name="cross_entropy", max_source_positions=100, max_target_positions=100)
ONE_TEXT = [b"w1 w2 w3 w1", b"w4", b"w5 zzz w7 w8 w9 w1 w2"]
TWO_TEXTS = [b"w1 w2 w3\tw4 w5 w6", b"w4\tw1", b"w5 zzz w7 w8 w9\tw2"]
LINES = {  # of unequal length, to be read in one batch
    "lstmn_lm": ONE_TEXT,
    "lstmn": [*TWO_TEXTS[:2], b"w5 zzz w7 w8 w9\tw2 w3 w4 w5 w6 w7"],
    "lstmn_classifier": ONE_TEXT,
    "lstmn_nli": TWO_TEXTS,
    "lstm": TWO_TEXTS,
}


def trained(case, outputs=None):
    """The ``TrainedModel`` model of a case, without weights that have learned anything.

    With ``outputs`` it knows more words than it says, as under ``--output-dictionary-size``.
    """
    arch, options = CASES[case]
    task = small_task(outputs=outputs)
    task.cfg = SimpleNamespace(
        classification_head_name="head", num_classes=3, regression_target=False, data="folder"
    )
    task.label_dictionary = Dictionary()
    for label in ("bad", "good", "so-so"):
        task.label_dictionary.add_symbol(label)
    task.sentences = 2 if arch == "lstmn_nli" else 1
    if arch == "lstm":
        model = lstm(task)
    else:
        config = CONFIGS[arch](**options)
        # by fairseq, of other parts of its configuration
        for name in (RESOLVED.keys() & vars(config).keys()) - options.keys():
            setattr(config, name, RESOLVED[name])
        model = build(config, arch, task)
    if hasattr(model, "classification_heads"):
        model.register_classification_head("head", num_classes=3)
    with torch.no_grad():
        for parameter in model.parameters():  # drawn too small for attention that is uneven
            parameter.mul_(3)
    return TrainedModel(f"{case}.pt", model.eval(), task, "cpu", Normalisation(lower_case=False))


def lstm(task):
    """fairseq's encoder-decoder."""
    args = SimpleNamespace(arch="lstm", criterion="cross_entropy", **RESOLVED, **BOTH)
    models.ARCH_CONFIG_REGISTRY["lstm"](args)
    torch.manual_seed(0)
    return LSTMModel.build_model(args, task)


def lines(case):
    return LINES[CASES[case][0]]
