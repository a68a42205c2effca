"""Models that read two sentences for the task ``sentence_pair_prediction``.

A premise and a hypothesis, each read word by word; the means of both readings are classified.
"""

from dataclasses import dataclass, field
from typing import Optional

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from fairseq.tasks.fairseq_task import FairseqTask
from torch import Tensor, nn

from fairseq_lstmn.models.options import (
    Config,
    FusionKind,
    RecurrenceConfig,
    ShallowContext,
    ShallowQuery,
    register_preset,
)
from fairseq_lstmn.models.reading import ReadingConfig, ReadingModel, complete, lstm, lstmn
from fairseq_lstmn.modules.fusion import Fusion, build_fusion
from fairseq_lstmn.modules.pair_reader import PairReader
from fairseq_lstmn.modules.pooling import mean_over_tokens


class SentencePairModel(ReadingModel):
    """The means of a pair's readings side by side, classified (Cheng et al. 2016, section 5.3)."""

    for_tasks = ("sentence_pair_prediction",)
    reader: nn.Module

    def __init__(self, cfg: Config, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary, 2 * cfg.encoder_hidden_size)

    def features(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        hypothesis_tokens: Tensor,
        hypothesis_lengths: Tensor,
    ) -> Tensor:
        """Means (B, 2H) over right-padded premises src_tokens (B, S) and hypotheses (B, T)."""
        read = self.read(
            self.embed(src_tokens), src_lengths, self.embed(hypothesis_tokens), hypothesis_lengths
        )
        lengths = src_lengths, hypothesis_lengths
        means = [mean_over_tokens(self.dropout_out(x), n) for x, n in zip(read, lengths)]
        return torch.cat(means, dim=1)

    def read(
        self,
        premise: Tensor,
        premise_lengths: Tensor,
        hypothesis: Tensor,
        hypothesis_lengths: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The reader's states (B, S, H) and (B, T, H) of (B, S, D) and (B, T, D)."""
        states: tuple[Tensor, Tensor] = self.reader(
            premise, premise_lengths, hypothesis, hypothesis_lengths
        )
        return states


@dataclass
class LSTMNPairConfig(ReadingConfig, RecurrenceConfig):
    """Options of ``lstmn_nli``."""

    attention_fusion: Optional[FusionKind] = field(
        default=None, metadata={"help": "how the hypothesis reads the premise (default: none)"}
    )
    shallow_query: ShallowQuery = field(
        default="token",
        metadata={"help": "what asks in shallow fusion: the token with the summary, or alone"},
    )
    shallow_context: ShallowContext = field(
        default="add",
        metadata={"help": "how the context of shallow fusion joins the summary at the gates"},
    )
    fusion_gate_bias: float = field(
        default=-3.0,
        metadata={"help": "where the bias of deep fusion's gate starts; -3: nearly closed"},
    )
    separate_readers: bool = field(
        default=False,
        metadata={"help": "read premise and hypothesis with weights of their own"},
    )


@register_model("lstmn_nli", dataclass=LSTMNPairConfig)
class LSTMNPairModel(SentencePairModel):
    """Premise and hypothesis on tapes of their own, without or with fusion."""

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "LSTMNPairModel":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        complete(cfg, attention_fusion="none")
        return cls(cfg, task.source_dictionary)

    def __init__(self, cfg: Config, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        size = cfg.encoder_hidden_size

        def fusion(k: int, width: int) -> Fusion | None:
            choices = str(cfg.attention_fusion), str(cfg.shallow_query), str(cfg.shallow_context)
            return build_fusion(k, width, size, size, *choices)

        premise = lstmn(cfg) if cfg.separate_readers else None
        hypothesis = lstmn(cfg, fusion=fusion, fusion_gate_bias=cfg.fusion_gate_bias)
        self.reader = PairReader(hypothesis, premise)


@dataclass
class LSTMPairConfig(ReadingConfig):
    """Options of ``lstm_nli``."""


@register_model("lstm_nli", dataclass=LSTMPairConfig)
class LSTMPairModel(SentencePairModel):
    """Premise and hypothesis read by one torch LSTM, one after the other."""

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "LSTMPairModel":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        complete(cfg)
        return cls(cfg, task.source_dictionary)

    def __init__(self, cfg: Config, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        self.reader = lstm(cfg)

    def read(
        self,
        premise: Tensor,
        premise_lengths: Tensor,
        hypothesis: Tensor,
        hypothesis_lengths: Tensor,
    ) -> tuple[Tensor, Tensor]:
        return (
            self.reader(premise, premise_lengths),
            self.reader(hypothesis, hypothesis_lengths),
        )


# the rows of table 3; dropout was one of 0.1 to 0.4
register_preset("lstmn_nli", "lstmn_nli_100", attention_fusion="none", encoder_hidden_size=100)
for _fusion in ("shallow", "deep"):
    for _size in (100, 300, 450):
        register_preset(
            "lstmn_nli",
            f"lstmn_nli_{_fusion}_{_size}",
            attention_fusion=_fusion,
            encoder_hidden_size=_size,
        )
