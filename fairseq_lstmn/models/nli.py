"""Models that read two sentences for the task ``sentence_pair_prediction``.

A premise and a hypothesis, each read word by word; the means of both readings are classified.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

import torch
from fairseq.data import Dictionary
from fairseq.models import register_model
from torch import Tensor, nn

from fairseq_lstmn.models.options import (
    Config,
    FusionKind,
    RecurrenceConfig,
    ShallowContext,
    ShallowQuery,
    option,
    register_preset,
)
from fairseq_lstmn.models.reading import ReadingConfig, ReadingModel, lstm, lstmn
from fairseq_lstmn.modules.fusion import FUSIONS, Fusion, build_fusion
from fairseq_lstmn.modules.padding import mean_over_tokens
from fairseq_lstmn.modules.readers import Pair, PairReader


class SentencePairModel(ReadingModel):
    """The means of a pair's readings side by side, classified (Cheng et al. 2016, section 5.3)."""

    for_tasks = ("sentence_pair_prediction",)
    build_reader: Callable[[Config], nn.Module]

    def __init__(self, cfg: Config, dictionary: Dictionary) -> None:
        super().__init__(cfg, dictionary)
        self.reader, self.feature_size = self.build_reader(cfg), 2 * cfg.encoder_hidden_size

    def features(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        hypothesis_tokens: Tensor,
        hypothesis_lengths: Tensor,
    ) -> Tensor:
        """Means (B, 2H) over right-padded premises src_tokens (B, S) and hypotheses (B, T)."""
        lengths = src_lengths, hypothesis_lengths
        states = self.read((self.embed(src_tokens), self.embed(hypothesis_tokens)), lengths)
        means = [mean_over_tokens(self.dropout_out(x), n) for x, n in zip(states, lengths)]
        return torch.cat(means, dim=1)

    def read(self, x: Pair, lengths: Pair) -> Pair:
        """The reader's states (B, S, H) and (B, T, H) of (B, S, D) and (B, T, D)."""
        return self.reader(x, lengths)


@dataclass
class LSTMNPairConfig(ReadingConfig, RecurrenceConfig):
    """Options of ``lstmn_nli``."""

    attention_fusion: Optional[FusionKind] = option(
        None, "how the hypothesis reads the premise (default: none)"
    )
    shallow_query: ShallowQuery = option(
        "token", "what asks in shallow fusion: the token with the summary, or alone"
    )
    shallow_context: ShallowContext = option(
        "add", "how the context of shallow fusion joins the summary at the gates"
    )
    fusion_gate_bias: float = option(
        -3.0, "where the bias of deep fusion's gate starts; -3: nearly closed"
    )
    separate_readers: bool = option(False, "read premise and hypothesis with weights of their own")


@register_model("lstmn_nli", dataclass=LSTMNPairConfig)
class LSTMNPairModel(SentencePairModel):
    """Premise and hypothesis on tapes of their own, without or with fusion."""

    defaults = {"attention_fusion": "none"}

    @staticmethod
    def build_reader(cfg: Config) -> PairReader:
        size = cfg.encoder_hidden_size

        def fusion(k: int, width: int) -> Fusion | None:
            choices = str(cfg.attention_fusion), str(cfg.shallow_query), str(cfg.shallow_context)
            return build_fusion(k, width, size, size, *choices)

        premise = lstmn(cfg) if cfg.separate_readers else None
        hypothesis = lstmn(cfg, fusion=fusion, fusion_gate_bias=cfg.fusion_gate_bias)
        return PairReader(hypothesis, premise)


@dataclass
class LSTMPairConfig(ReadingConfig):
    """Options of ``lstm_nli``."""


@register_model("lstm_nli", dataclass=LSTMPairConfig)
class LSTMPairModel(SentencePairModel):
    """Premise and hypothesis read by one torch LSTM, one after the other."""

    build_reader = staticmethod(lstm)

    def read(self, x: Pair, lengths: Pair) -> Pair:
        premise, hypothesis = map(self.reader, x, lengths)
        return premise, hypothesis


# the rows of table 3; dropout was one of 0.1 to 0.4
register_preset("lstmn_nli", "lstmn_nli_100", attention_fusion="none", encoder_hidden_size=100)
for _fusion in FUSIONS:
    for _size in (100, 300, 450):
        register_preset(
            "lstmn_nli",
            f"lstmn_nli_{_fusion}_{_size}",
            attention_fusion=_fusion,
            encoder_hidden_size=_size,
        )
