"""What all models that classify what they read share: options, embeddings and heads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Optional

from fairseq.data import Dictionary
from fairseq.models import BaseFairseqModel
from fairseq.modules import FairseqDropout
from fairseq.tasks.fairseq_task import FairseqTask
from torch import Tensor, nn

from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.models.options import (
    Config,
    VectorsConfig,
    check_at_least,
    check_probabilities,
    fill,
    layer_options,
    option,
)
from fairseq_lstmn.modules.embeddings import WordEmbedding
from fairseq_lstmn.modules.lstmn_layer import LayerOptions, refuse_scripting
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack, MakeFusion, no_fusion
from fairseq_lstmn.modules.readers import ClassificationHead, LSTMReader

DEFAULTS = dict(dropout=0.1, encoder_embed_dim=300, encoder_layers=1, skip_bad_vectors=False)


@dataclass
class ReadingConfig(VectorsConfig):
    """Options of every reader; None stands for what the architecture or DEFAULTS say."""

    dropout: Optional[float] = option(None, "dropout probability (default: 0.1)")
    encoder_embed_dim: Optional[int] = option(None, "embedding dimension (default: 300)")
    encoder_embed_path: Optional[str] = option(
        None, "path to pre-trained embedding, may be compressed by gzip"
    )
    encoder_freeze_embed: bool = option(False, "freeze embeddings")
    first_epoch_scale: Optional[float] = option(
        None,
        "factor on the gradient of pretrained embeddings in the first epoch; 0 updates "
        "only the other ones then (default: 1)",
    )
    unknown_embed_std: Optional[float] = option(
        None, "standard deviation of embeddings that are not pretrained (default: uniform in +-0.1)"
    )
    encoder_hidden_size: Optional[int] = option(None, "hidden size (default: --encoder-embed-dim)")
    encoder_layers: Optional[int] = option(
        None, "number of layers (default: 1; of tcnn_classifier: 3)"
    )
    encoder_dropout_in: Optional[float] = option(None, "dropout on embeddings (default: --dropout)")
    encoder_dropout_out: Optional[float] = option(
        None, "dropout on every layer's outputs (default: --dropout)"
    )
    pooler_dropout: Optional[float] = option(
        None, "dropout before the classifier's last layer (default: --dropout)"
    )
    # fairseq's task writes its own here; it limits the data and not the model
    max_positions: int = option(512, "of the task: max tokens")


def fill_defaults(cfg: Config, **defaults: object) -> None:
    """Fill in what depends on the architecture or on other options."""
    fill(cfg, **{**DEFAULTS, **defaults})
    fill(
        cfg,
        encoder_hidden_size=cfg.encoder_embed_dim,
        encoder_dropout_in=cfg.dropout,
        encoder_dropout_out=cfg.dropout,
        pooler_dropout=cfg.dropout,
        first_epoch_scale=1.0,
    )
    check_at_least(cfg, 1, "encoder_embed_dim", "encoder_hidden_size", "encoder_layers")
    dropouts = "encoder_dropout_in", "encoder_dropout_out", "pooler_dropout"
    check_probabilities(cfg, *dropouts, "first_epoch_scale")


def lstm(cfg: Config) -> LSTMReader:
    """torch's LSTM of a config's sizes."""
    sizes = cfg.encoder_embed_dim, cfg.encoder_hidden_size, cfg.encoder_layers
    return LSTMReader(*sizes, cfg.encoder_dropout_out)


def lstmn(
    cfg: Config, fusion: MakeFusion = no_fusion, fusion_gate_bias: float | None = None
) -> LSTMNStack:
    """The LSTMN of a config's sizes; the other two are options of ``LSTMNStack``."""
    sizes = cfg.encoder_embed_dim, cfg.encoder_hidden_size, cfg.encoder_layers
    options: LayerOptions = {**layer_options(cfg), "fusion_gate_bias": fusion_gate_bias}
    return LSTMNStack(*sizes, dropout=cfg.encoder_dropout_out, fusion=fusion, **options)


class ReadingModel(BaseFairseqModel):
    """Embeddings and classification heads; a subclass says what ``features`` they classify."""

    features: Callable[..., Tensor]
    feature_size: int  # F
    defaults: ClassVar[dict[str, object]] = {}  # beside DEFAULTS
    reads_any_length = True
    args: None = None  # whose options fairseq 0.12.2's criterion asks for
    __prepare_scriptable__ = refuse_scripting

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "ReadingModel":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        fill_defaults(cfg, **cls.defaults)
        return cls(cfg, task.source_dictionary)

    def __init__(self, cfg: Config, dictionary: Dictionary) -> None:
        super().__init__()
        self.words = WordEmbedding(
            dictionary,
            cfg.encoder_embed_dim,
            cfg.encoder_embed_path,
            "--encoder-embed-path",
            cfg.first_epoch_scale,
            cfg.unknown_embed_std,
            cfg.skip_bad_vectors,
        )
        self.words.embed_tokens.weight.requires_grad_(not cfg.encoder_freeze_embed)
        name = self.__class__.__name__
        self.dropout_in = FairseqDropout(cfg.encoder_dropout_in, module_name=name)
        self.dropout_out = FairseqDropout(cfg.encoder_dropout_out, module_name=name)
        self.hidden_size, self.pooler_dropout = cfg.encoder_hidden_size, cfg.pooler_dropout
        self.classification_heads = nn.ModuleDict()

    def register_classification_head(
        self, name: str, num_classes: int, inner_dim: int | None = None, **kwargs: object
    ) -> None:
        """What fairseq's task calls once the model stands: a head of that name."""
        self.classification_heads[name] = ClassificationHead(
            self.feature_size, inner_dim or self.hidden_size, num_classes, self.pooler_dropout
        )

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to vectors (B, T, D)."""
        return self.dropout_in(self.words(tokens))

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        features_only: bool = True,
        classification_head_name: str | None = None,
        **others: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (B, C) of the head of that name, without one features (B, F); and no extras."""
        features = self.features(src_tokens, src_lengths, **others)
        if classification_head_name is None:
            return features, {}
        return self.classification_heads[classification_head_name](features), {}

    def max_positions(self) -> int:
        return UNLIMITED
