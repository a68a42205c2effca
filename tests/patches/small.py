"""Small models of any architecture, ours and fairseq's, as fairseq's commands build them."""

from copy import deepcopy
from functools import cache

import torch
from fairseq import options
from fairseq.data import Dictionary
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.translation import TranslationTask

WIDTHS = ("--decoder-embed-dim", "8")
TRANSFORMER = (*WIDTHS, "--decoder-layers", "1", "--decoder-attention-heads", "2")
TRANSFORMER_PAIR = (
    *TRANSFORMER, "--encoder-embed-dim", "8", "--encoder-layers", "1",
    "--encoder-attention-heads", "2",
)  # fmt: skip
LSTM = (*WIDTHS, "--encoder-embed-dim", "8", "--decoder-out-embed-dim", "8")
ARCHITECTURES = {
    "shallow": ("lstmn_shallow", *LSTM),
    "deep": ("lstmn_deep", *LSTM),
    "none": ("lstmn", "--attention-fusion", "none", *LSTM),
    "lstm": ("lstm", *LSTM),
    "lstm without": ("lstm", "--decoder-attention", "0", *LSTM),
    "transformer": ("transformer", *TRANSFORMER_PAIR),
    "align": (
        "transformer_align",
        "--full-context-alignment",
        "--alignment-layer",
        "0",
        *TRANSFORMER_PAIR,
    ),
    "lstmn_lm": ("lstmn_lm", *WIDTHS, "--decoder-out-embed-dim", "8"),
    "transformer_lm": ("transformer_lm", *TRANSFORMER),
}


def dictionary(words=20):
    known = Dictionary()
    for k in range(words):
        known.add_symbol(f"w{k}")
    return known


def translation_task():
    return TranslationTask(settings("translation", "lstm").task, dictionary(), dictionary())


def language_task():
    return LanguageModelingTask(settings("language_modeling", "lstm_lm").task, dictionary())


@cache  # hydra takes its time
def settings(task, *arch):
    arguments = ["data", "--task", task, "--arch", *arch]
    args = options.parse_args_and_arch(options.get_training_parser(), arguments)
    return convert_namespace_to_omegaconf(args)


def build(task, *names, std=0.7):
    """Models in evaluation mode; by default they attend to some words far more than to others."""
    torch.manual_seed(0)
    kind = "translation" if isinstance(task, TranslationTask) else "language_modeling"
    models = [
        task.build_model(deepcopy(settings(kind, *ARCHITECTURES[name]).model)) for name in names
    ]
    for parameter in (parameter for model in models for parameter in model.parameters()):
        torch.nn.init.normal_(parameter, std=std)
    return [model.eval() for model in models]


def sources(*lengths):
    """The sample of a left-padded batch, the longest first, as fairseq collates it."""
    draw = torch.Generator().manual_seed(1)
    tokens = torch.full((len(lengths), max(lengths)), 1)
    for row, length in zip(tokens, lengths):
        row[-length:] = torch.randint(4, 24, (length,), generator=draw)
        row[-1] = 2
    return {"net_input": {"src_tokens": tokens, "src_lengths": torch.tensor(lengths)}}


def row_of(sample, row):
    """The sample of one sentence alone, without padding."""
    length = sample["net_input"]["src_lengths"][row]
    tokens = sample["net_input"]["src_tokens"][row : row + 1, -length:]
    return {"src_tokens": tokens, "src_lengths": length.unsqueeze(0)}
