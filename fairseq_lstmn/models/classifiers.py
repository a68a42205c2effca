"""Sentence classifiers for fairseq's task ``sentence_prediction``: three readers, one head.

A reader makes a vector of every word; their mean is classified.
"""

from dataclasses import dataclass, field

from fairseq.data import Dictionary
from fairseq.models import register_model
from fairseq.tasks.fairseq_task import FairseqTask
from torch import Tensor, nn

from fairseq_lstmn.models.options import Config, RecurrenceConfig, register_preset
from fairseq_lstmn.models.reading import ReadingConfig, ReadingModel, complete, lstm, lstmn
from fairseq_lstmn.modules.pooling import mean_over_tokens
from fairseq_lstmn.modules.tcnn import TCNN


class SentenceClassifier(ReadingModel):
    """The mean of a reader's states, classified (Cheng et al. 2016, section 5.2)."""

    for_tasks = ("sentence_prediction",)

    def __init__(
        self, cfg: Config, dictionary: Dictionary, reader: nn.Module, feature_size: int
    ) -> None:
        super().__init__(cfg, dictionary, feature_size)
        self.reader = reader

    def features(self, src_tokens: Tensor, src_lengths: Tensor) -> Tensor:
        """The mean (B, F) over the words of right-padded src_tokens (B, T)."""
        read = self.read(self.embed(src_tokens), src_lengths)
        return mean_over_tokens(self.dropout_out(read), src_lengths)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The reader's states (B, T, F) of x (B, T, D)."""
        states: Tensor = self.reader(x, lengths)
        return states


@dataclass
class LSTMNClassifierConfig(ReadingConfig, RecurrenceConfig):
    """Options of ``lstmn_classifier``."""


@register_model("lstmn_classifier", dataclass=LSTMNClassifierConfig)
class LSTMNClassifier(SentenceClassifier):
    """A classifier that reads with an LSTMN."""

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "LSTMNClassifier":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        complete(cfg)
        return cls(cfg, task.source_dictionary, lstmn(cfg), cfg.encoder_hidden_size)

    def read(self, x: Tensor, lengths: Tensor) -> Tensor:
        states: Tensor = self.reader(x, lengths=lengths)[0]
        return states


@dataclass
class LSTMClassifierConfig(ReadingConfig):
    """Options of ``lstm_classifier``."""


@register_model("lstm_classifier", dataclass=LSTMClassifierConfig)
class LSTMClassifier(SentenceClassifier):
    """A classifier that reads with torch's LSTM."""

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "LSTMClassifier":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        complete(cfg)
        return cls(cfg, task.source_dictionary, lstm(cfg), cfg.encoder_hidden_size)


@dataclass
class TCNNClassifierConfig(ReadingConfig):
    """Options of ``tcnn_classifier``."""

    tcnn_decay: float = field(
        default=0.5,
        metadata={"help": "discount of an n-gram for each word it leaves out; 0 = consecutive"},
    )


@register_model("tcnn_classifier", dataclass=TCNNClassifierConfig)
class TCNNClassifier(SentenceClassifier):
    """The T-CNN of Lei, Barzilay & Jaakkola 2015 under the same head."""

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "TCNNClassifier":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        complete(cfg, encoder_layers=3)
        reader = TCNN(
            cfg.encoder_embed_dim,
            cfg.encoder_hidden_size,
            cfg.encoder_layers,
            decay=cfg.tcnn_decay,
            dropout=cfg.encoder_dropout_out,
        )
        return cls(cfg, task.source_dictionary, reader, reader.output_size)


# table 2 of the paper: memory 168, dropout in the classifier only
SST = dict(
    dropout=0.0,
    encoder_embed_dim=300,
    encoder_hidden_size=168,
    pooler_dropout=0.5,
)
register_preset("lstmn_classifier", "lstmn_sst", **SST)
register_preset("lstmn_classifier", "lstmn_sst_2layer", encoder_layers=2, **SST)
