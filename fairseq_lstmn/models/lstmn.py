"""The LSTMN encoder-decoder: fairseq's ``lstm`` with tapes, under the same options."""

from dataclasses import dataclass
from typing import Optional

from fairseq import utils
from fairseq.models import FairseqEncoderDecoderModel, register_model
from fairseq.tasks.fairseq_task import FairseqTask
from omegaconf import II

from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.options import (
    Config,
    DecoderConfig,
    FusionKind,
    ShallowContext,
    ShallowQuery,
    check_at_least,
    check_probabilities,
    check_shared_output,
    embedding,
    fill,
    layer_options,
    option,
    output_layer,
    register_preset,
)
from fairseq_lstmn.modules.decoder import EncoderStart, LSTMNDecoder
from fairseq_lstmn.modules.encoder import LSTMNEncoder
from fairseq_lstmn.modules.fusion import FUSIONS, build_fusion
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack, MakeFusion

DEFAULTS = dict(
    attention_fusion="shallow",
    dropout=0.1,
    encoder_embed_dim=512,
    encoder_layers=1,
    decoder_embed_dim=512,
    decoder_layers=1,
    decoder_out_embed_dim=512,
    skip_bad_vectors=False,
)


@dataclass
class LSTMNConfig(DecoderConfig):
    """Options of ``lstmn`` beyond those of its decoder."""

    attention_fusion: Optional[FusionKind] = option(
        None, "how the decoder reads the encoder (default: shallow)"
    )
    shallow_query: ShallowQuery = option(
        "summary", "what asks in shallow fusion: the token with the summary, or alone"
    )
    shallow_context: ShallowContext = option(
        "concat", "how the context of shallow fusion joins the summary at the gates"
    )
    encoder_embed_dim: Optional[int] = option(None, "encoder embedding dimension (default: 512)")
    encoder_embed_path: Optional[str] = option(None, "path to pre-trained encoder embedding")
    encoder_freeze_embed: bool = option(False, "freeze encoder embeddings")
    encoder_hidden_size: Optional[int] = option(
        None, "encoder hidden size (default: --encoder-embed-dim)"
    )
    encoder_layers: Optional[int] = option(None, "number of encoder layers (default: 1)")
    encoder_bidirectional: bool = option(False, "make all layers of encoder bidirectional")
    decoder_freeze_embed: bool = option(False, "freeze decoder embeddings")
    decoder_attention: str = option("1", "decoder attention; 0 is --attention-fusion none")
    share_all_embeddings: bool = option(
        False, "share encoder, decoder and output embeddings (joint dictionary)"
    )
    encoder_dropout_in: Optional[float] = option(
        None, "dropout probability for encoder input embedding (default: --dropout)"
    )
    encoder_dropout_out: Optional[float] = option(
        None, "dropout probability for encoder output (default: --dropout)"
    )
    # the task's limits, in every checkpoint so far; they limit the data and not the model
    max_source_positions: Optional[int] = II("task.max_source_positions")
    max_target_positions: Optional[int] = II("task.max_target_positions")


@register_model("lstmn", dataclass=LSTMNConfig)
class LSTMNModel(FairseqEncoderDecoderModel):
    """An LSTMN that reads a source and an LSTMN that writes (Cheng et al. 2016, section 4)."""

    for_tasks = "translation", "translation_multi_simple_epoch", "denoising"
    reads_any_length = True

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "LSTMNModel":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        fill_defaults(cfg)
        check(cfg, task)
        encoder = build_encoder(cfg, task)
        return cls(encoder, build_decoder(cfg, task, encoder))


def build_encoder(cfg: Config, task: FairseqTask) -> LSTMNEncoder:
    embed_tokens = embedding(cfg, task.source_dictionary, "encoder")
    embed_tokens.weight.requires_grad_(not cfg.encoder_freeze_embed)
    return LSTMNEncoder(
        task.source_dictionary,
        embed_tokens,
        cfg.encoder_hidden_size,
        cfg.encoder_layers,
        cfg.encoder_bidirectional,
        cfg.encoder_dropout_in,
        cfg.encoder_dropout_out,
        UNLIMITED,
        **layer_options(cfg),
    )


def build_decoder(cfg: Config, task: FairseqTask, encoder: LSTMNEncoder) -> LSTMNDecoder:
    embed_tokens = encoder.embed_tokens
    if not cfg.share_all_embeddings:
        embed_tokens = embedding(cfg, task.target_dictionary, "decoder")
    if cfg.decoder_freeze_embed:
        embed_tokens.weight.requires_grad_(False)
    stack = LSTMNStack(
        cfg.decoder_embed_dim,
        cfg.decoder_hidden_size,
        cfg.decoder_layers,
        dropout=cfg.decoder_dropout_out,
        fusion=fusions(cfg, encoder.output_size),
        **layer_options(cfg),
    )
    output = output_layer(
        cfg,
        task.target_dictionary,
        shared=cfg.share_decoder_input_output_embed or cfg.share_all_embeddings,
        attentional=any(layer.fusion is not None for layer in stack.layers),
    )
    return LSTMNDecoder(
        task.target_dictionary,
        embed_tokens,
        stack,
        output,
        cfg.decoder_dropout_in,
        UNLIMITED,
        EncoderStart(encoder.output_size, cfg.decoder_hidden_size),
    )


def fusions(cfg: Config, source_size: int) -> MakeFusion:
    """Builds the fusion of decoder layer k with inputs of a width."""
    fusion = str(cfg.attention_fusion)
    if not utils.eval_bool(cfg.decoder_attention):
        fusion = "none"
    choices = fusion, str(cfg.shallow_query), str(cfg.shallow_context)
    return lambda k, width: build_fusion(k, width, source_size, cfg.decoder_hidden_size, *choices)


def fill_defaults(cfg: Config) -> None:
    """Fill in what depends on the architecture or on other options."""
    fill(cfg, **DEFAULTS)
    fill(
        cfg,
        encoder_hidden_size=cfg.encoder_embed_dim,
        decoder_hidden_size=cfg.decoder_embed_dim,
        encoder_dropout_in=cfg.dropout,
        encoder_dropout_out=cfg.dropout,
        decoder_dropout_in=cfg.dropout,
        decoder_dropout_out=cfg.dropout,
    )


def check(cfg: Config, task: FairseqTask) -> None:
    """Raise InputError for options that no model can be built with."""
    for side in ("encoder", "decoder"):
        check_at_least(
            cfg, 1, *(f"{side}_{size}" for size in ("embed_dim", "hidden_size", "layers"))
        )
        check_probabilities(cfg, f"{side}_dropout_in", f"{side}_dropout_out")
    check_at_least(cfg, 1, "decoder_out_embed_dim")
    if cfg.encoder_layers != cfg.decoder_layers:
        raise InputError(
            f"--encoder-layers {cfg.encoder_layers} and --decoder-layers {cfg.decoder_layers}: "
            "must be equal, each decoder layer starts from (and in deep fusion reads) the "
            "encoder's of the same number"
        )
    if cfg.share_all_embeddings:
        check_shared_source(cfg, task)
    if cfg.share_decoder_input_output_embed or cfg.share_all_embeddings:
        check_shared_output(cfg)


def check_shared_source(cfg: Config, task: FairseqTask) -> None:
    if task.source_dictionary != task.target_dictionary:
        raise InputError("--share-all-embeddings: needs a joint dictionary")
    if cfg.encoder_embed_dim != cfg.decoder_embed_dim:
        raise InputError(
            f"--share-all-embeddings: --encoder-embed-dim {cfg.encoder_embed_dim} and "
            f"--decoder-embed-dim {cfg.decoder_embed_dim} must be equal"
        )
    if cfg.decoder_embed_path not in (None, cfg.encoder_embed_path):
        raise InputError(
            f"--share-all-embeddings: --decoder-embed-path {cfg.decoder_embed_path} is not "
            "--encoder-embed-path"
        )


IWSLT = dict(
    encoder_embed_dim=256,
    encoder_dropout_in=0.0,
    encoder_dropout_out=0.0,
    decoder_embed_dim=256,
    decoder_out_embed_dim=256,
    decoder_dropout_in=0.0,
)  # the sizes and dropouts of fairseq's lstm_wiseman_iwslt_de_en
for _fusion in FUSIONS:
    register_preset("lstmn", f"lstmn_{_fusion}", attention_fusion=_fusion)
    register_preset("lstmn", f"lstmn_{_fusion}_iwslt_de_en", attention_fusion=_fusion, **IWSLT)
