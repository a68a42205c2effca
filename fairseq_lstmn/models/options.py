"""Options that several LSTMN models share: checked, and filled in by presets."""

import dataclasses
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, TypeAlias

from fairseq import utils
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import MODEL_DATACLASS_REGISTRY, register_model_architecture
from hydra.core.config_store import ConfigStore
from omegaconf import II, DictConfig, open_dict
from torch import nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.embeddings import build_embedding
from fairseq_lstmn.modules.fusion import FUSIONS
from fairseq_lstmn.modules.lstmn_layer import LayerOptions
from fairseq_lstmn.modules.output_layer import OutputLayer
from fairseq_lstmn.ops import backends

Config: TypeAlias = DictConfig | Namespace  # a model's options, as fairseq hands them over

# fairseq reads an option's choices from its type; in a config they are enums that equal their text
if TYPE_CHECKING:
    Backend: TypeAlias = str
    FusionKind: TypeAlias = str
    ShallowQuery: TypeAlias = str
    ShallowContext: TypeAlias = str
else:
    Backend = ChoiceEnum(backends.NAMES)
    FusionKind = ChoiceEnum(["none", *FUSIONS])
    ShallowQuery = ChoiceEnum(["summary", "token"])
    ShallowContext = ChoiceEnum(["concat", "add"])


def option(default: Any, help: str) -> Any:
    """A config's field, as fairseq makes a command line option of it."""
    return field(default=default, metadata={"help": help})


@dataclass
class RecurrenceConfig(FairseqDataclass):
    """Options of every model with LSTMN layers; the distance bias is beyond the paper."""

    memory_span: int = option(0, "attend the latest N slots of a tape only; 0 = all, 1 = an LSTM")
    distance_bias: Optional[int] = option(
        None,
        "learn a bias for each of the R nearest distances and one for all farther; "
        "0 = off (default: 0)",
    )
    distance_bias_init: Optional[float] = option(
        None, "where the nearest slot's distance bias starts (default: 0)"
    )
    forget_gate_bias: Optional[float] = option(
        None, "where the forget gate's bias starts (default: uniform in +-0.1)"
    )
    recurrence_backend: Backend = option("auto", "implementation of the recurrence")


@dataclass
class VectorsConfig(FairseqDataclass):
    """Options of every model that may start from a file of word vectors."""

    skip_bad_vectors: bool = option(
        False, "leave out lines of a file of embeddings that cannot be read"
    )


@dataclass
class DecoderConfig(VectorsConfig, RecurrenceConfig):
    """Options of every decoder, named as in fairseq's ``lstm`` and ``lstm_lm``.

    None stands for what the architecture or the model's DEFAULTS say.
    """

    dropout: Optional[float] = option(None, "dropout probability (default: 0.1)")
    decoder_embed_dim: Optional[int] = option(None, "decoder embedding dimension (default: 512)")
    decoder_embed_path: Optional[str] = option(None, "path to pre-trained decoder embedding")
    decoder_hidden_size: Optional[int] = option(
        None, "decoder hidden size (default: --decoder-embed-dim)"
    )
    decoder_layers: Optional[int] = option(None, "number of decoder layers (default: 1)")
    decoder_out_embed_dim: Optional[int] = option(
        None, "decoder output embedding dimension (default: 512)"
    )
    adaptive_softmax_cutoff: str = option(
        "10000,50000,200000",
        "comma separated list of adaptive softmax cutoff points; "
        "used with --criterion adaptive_loss",
    )
    decoder_dropout_in: Optional[float] = option(
        None, "dropout probability for decoder input embedding (default: --dropout)"
    )
    decoder_dropout_out: Optional[float] = option(
        None, "dropout probability for decoder output (default: --dropout)"
    )
    share_decoder_input_output_embed: bool = option(
        False, "share decoder input and output embeddings"
    )
    # not by the name "criterion": omegaconf 2.0 would look in it for itself, without end
    criterion_name: Any = II("criterion._name")


def layer_options(cfg: Config) -> LayerOptions:
    """The options of ``RecurrenceConfig`` as ``LSTMNLayer`` takes them."""
    fill(cfg, distance_bias=0, distance_bias_init=0.0)
    check_at_least(cfg, 0, "memory_span", "distance_bias")
    return LayerOptions(
        memory_span=cfg.memory_span,
        distance_bias=cfg.distance_bias,
        distance_bias_init=cfg.distance_bias_init,
        forget_gate_bias=cfg.forget_gate_bias,
        backend=str(cfg.recurrence_backend),
    )


def embedding(cfg: Config, dictionary: Dictionary, side: str) -> nn.Embedding:
    """The embedding that the options of a ``side``, "encoder" or "decoder", ask for."""
    size, path = (getattr(cfg, f"{side}_embed_{what}") for what in ("dim", "path"))
    option = f"--{side}-embed-path"
    return build_embedding(dictionary, size, path, option, cfg.skip_bad_vectors)


def adaptive_cutoff(cfg: Config) -> list[int] | None:
    """The cutoffs of the adaptive softmax as integers, None without ``adaptive_loss``."""
    # checkpoints of version 0.2.0 have it as "criterion", where fairseq-validate --criterion puts
    # the criterion's whole config
    name = getattr(cfg, "criterion_name", None) or getattr(cfg, "criterion", None)
    if getattr(name, "_name", name) != "adaptive_loss":
        return None
    return utils.eval_str_list(cfg.adaptive_softmax_cutoff, type=int)


def output_layer(cfg: Config, dictionary: Dictionary, **options: bool) -> OutputLayer:
    """The output layer of a decoder's options; the others are those of ``OutputLayer``."""
    sizes = cfg.decoder_hidden_size, cfg.decoder_out_embed_dim, len(dictionary)
    cutoff = adaptive_cutoff(cfg)
    return OutputLayer(*sizes, cfg.decoder_dropout_out, adaptive_cutoff=cutoff, **options)


def check_shared_output(cfg: Config) -> None:
    """Raise InputError if the decoder's embedding cannot be its output layer too."""
    if cfg.decoder_embed_dim != cfg.decoder_out_embed_dim:
        raise InputError(
            f"--share-decoder-input-output-embed: --decoder-embed-dim {cfg.decoder_embed_dim} and "
            f"--decoder-out-embed-dim {cfg.decoder_out_embed_dim} must be equal"
        )


def fill(cfg: Config, **values: object) -> None:
    """Give every option of ``cfg`` that is not set its value."""
    with open_dict(cfg) if isinstance(cfg, DictConfig) else nullcontext():
        for name, value in values.items():
            if getattr(cfg, name, None) is None:
                setattr(cfg, name, value)


def register_preset(model: str, preset: str, **values: object) -> None:
    """Make ``preset`` an architecture of ``model``, for ``--arch`` and for hydra alike.

    The options it sets must be None by default in the model's dataclass: fairseq merges those
    defaults in before it asks an architecture, and only what is None counts as not set.
    """

    def architecture(cfg: Config) -> None:
        fill(cfg, **values)

    register_model_architecture(model, preset)(architecture)
    config = dataclasses.replace(MODEL_DATACLASS_REGISTRY[model](), **values)
    config._name = preset
    ConfigStore.instance().store(name=preset, group="model", node=config, provider="fairseq_lstmn")


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def check_at_least(cfg: Config, least: int, *names: str) -> None:
    """Raise InputError for the first of the options ``names`` that is below ``least``."""
    for name in names:
        value = getattr(cfg, name)
        if value < least:
            raise InputError(f"{flag(name)} {value}: must be {least} or above")


def check_probabilities(cfg: Config, *names: str) -> None:
    """Raise InputError for the first of the options ``names`` outside of 0..1."""
    for name in names:
        value = getattr(cfg, name)
        if not 0 <= value <= 1:
            raise InputError(f"{flag(name)} {value}: must lie in 0..1")
