"""Sentence classifiers for fairseq's task ``sentence_prediction``: three readers, one head.

A reader makes a vector of every word; their mean is classified.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor

from fairseq_lstmn.models.options import Config, RecurrenceConfig, option, register_preset
from fairseq_lstmn.models.reading import ReadingConfig, ReadingModel, lstm, lstmn
from fairseq_lstmn.modules.padding import mean_over_tokens
from fairseq_lstmn.modules.tcnn import TCNN


class SentenceClassifier(ReadingModel):
    """The mean of a reader's states, classified (Cheng et al. 2016, section 5.2)."""

    for_tasks = ("sentence_prediction",)
    build_reader: Callable[[Config], Any]  # a module with its ``output_size``

    def __init__(self, cfg: Config, dictionary: Dictionary) -> None:
        reader = self.build_reader(cfg)  # first: its weights are drawn before the embedding's
        super().__init__(cfg, dictionary)
        self.reader, self.feature_size = reader, reader.output_size

    def features(self, src_tokens: Tensor, src_lengths: Tensor) -> Tensor:
        """The mean (B, F) over the words of right-padded src_tokens (B, T)."""
        states = self.read(self.embed(src_tokens), src_lengths)
        return mean_over_tokens(self.dropout_out(states), src_lengths)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The reader's states (B, T, F) of x (B, T, D)."""
        return self.reader(x, lengths)


@dataclass
class LSTMNClassifierConfig(ReadingConfig, RecurrenceConfig):
    """Options of ``lstmn_classifier``."""


@register_model("lstmn_classifier", dataclass=LSTMNClassifierConfig)
class LSTMNClassifier(SentenceClassifier):
    """A classifier that reads with an LSTMN."""

    build_reader = staticmethod(lstmn)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        return self.reader(x, lengths=lengths)[0]


@dataclass
class LSTMClassifierConfig(ReadingConfig):
    """Options of ``lstm_classifier``."""


@register_model("lstm_classifier", dataclass=LSTMClassifierConfig)
class LSTMClassifier(SentenceClassifier):
    """A classifier that reads with torch's LSTM."""

    build_reader = staticmethod(lstm)


@dataclass
class TCNNClassifierConfig(ReadingConfig):
    """Options of ``tcnn_classifier``."""

    tcnn_decay: float = option(
        0.5, "discount of an n-gram for each word it leaves out; 0 = consecutive"
    )


@register_model("tcnn_classifier", dataclass=TCNNClassifierConfig)
class TCNNClassifier(SentenceClassifier):
    """The T-CNN of Lei, Barzilay & Jaakkola 2015 under the same head."""

    defaults = {"encoder_layers": 3}

    @staticmethod
    def build_reader(cfg: Config) -> TCNN:
        sizes = cfg.encoder_embed_dim, cfg.encoder_hidden_size, cfg.encoder_layers
        return TCNN(*sizes, cfg.tcnn_decay, cfg.encoder_dropout_out)


# table 2 of the paper: memory 168, dropout in the classifier only
SST = dict(dropout=0.0, encoder_embed_dim=300, encoder_hidden_size=168, pooler_dropout=0.5)
register_preset("lstmn_classifier", "lstmn_sst", **SST)
register_preset("lstmn_classifier", "lstmn_sst_2layer", encoder_layers=2, **SST)
