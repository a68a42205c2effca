"""The LSTMN language model: fairseq's ``lstm_lm`` with a tape, under the same options."""

from dataclasses import dataclass
from typing import Optional

from fairseq.data import Dictionary
from fairseq.models import FairseqLanguageModel, register_model
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.options import (
    Config,
    DecoderConfig,
    adaptive_cutoff,
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
from fairseq_lstmn.modules.language_decoder import LSTMNLanguageDecoder
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from fairseq_lstmn.modules.output_layer import Pointer

DEFAULTS = dict(
    dropout=0.1,
    decoder_embed_dim=512,
    decoder_layers=1,
    decoder_out_embed_dim=512,
    skip_bad_vectors=False,
)


@dataclass
class LSTMNLanguageModelConfig(DecoderConfig):
    """Options of ``lstmn_lm`` beyond those of its decoder."""

    decoder_attention: str = option(
        "0", "accepted as in lstm_lm, where it does nothing either: no encoder"
    )
    residuals: Optional[bool] = option(
        None, "layers above the first add the output of the layer below to theirs"
    )
    skip_connections: bool = option(False, "layers above the first read the embedding too")
    carry_tape: int = option(
        0,
        "carry the latest N slots of each tape from one block of text to the "
        "next, with --task contiguous_language_modeling; 0 = start each block empty",
    )
    tape_layers: Optional[int] = option(
        None, "only the last N layers have a tape, those below are LSTMs (default: all)"
    )
    pointer: Optional[bool] = option(
        None,
        "say the words on the tape again, as likely as the last layer attends them, "
        "beside what the output layer says (Merity et al. 2017); with --tape-layers 0 as in that "
        "paper: the output alone attends the states of an LSTM",
    )


@register_model("lstmn_lm", dataclass=LSTMNLanguageModelConfig)
class LSTMNLanguageModel(FairseqLanguageModel):
    """A language model that reads its own past by attention (Cheng et al. 2016, section 5.1)."""

    for_tasks = (
        "language_modeling",
        "contiguous_language_modeling",
        "multilingual_language_modeling",
        "recall",
    )

    @classmethod
    def build_model(cls, cfg: Config, task: FairseqTask) -> "LSTMNLanguageModel":
        """Build from a config or a Namespace; raises InputError for options out of range."""
        fill_defaults(cfg)
        check(cfg, task)
        decoder = LSTMNLanguageDecoder(
            task.target_dictionary,
            embedding(cfg, task.source_dictionary, "decoder"),
            LSTMNStack(
                cfg.decoder_embed_dim,
                cfg.decoder_hidden_size,
                cfg.decoder_layers,
                tape_layers=cfg.tape_layers,
                dropout=cfg.decoder_dropout_out,
                skip_connections=cfg.skip_connections,
                residuals=cfg.residuals,
                return_attention=cfg.pointer,
                **layer_options(cfg),
            ),
            output_layer(cfg, task.target_dictionary, shared=cfg.share_decoder_input_output_embed),
            cfg.decoder_dropout_in,
            max_positions(task),
            carry_tape=cfg.carry_tape,
            pointer=Pointer(cfg.decoder_out_embed_dim) if cfg.pointer else None,
        )
        return cls(decoder)


def fill_defaults(cfg: Config) -> None:
    """Fill in what depends on the architecture or on other options."""
    fill(cfg, **DEFAULTS)
    fill(
        cfg,
        decoder_hidden_size=cfg.decoder_embed_dim,
        decoder_dropout_in=cfg.dropout,
        decoder_dropout_out=cfg.dropout,
    )


def check(cfg: Config, task: FairseqTask) -> None:
    """Raise InputError for options that no model can be built with."""
    sizes = "decoder_embed_dim", "decoder_hidden_size", "decoder_layers", "decoder_out_embed_dim"
    check_at_least(cfg, 1, *sizes)
    check_at_least(cfg, 0, "carry_tape")
    check_outputs(task.target_dictionary)
    check_probabilities(cfg, "dropout", "decoder_dropout_in", "decoder_dropout_out")
    if cfg.tape_layers is not None and not 0 <= cfg.tape_layers <= cfg.decoder_layers:
        raise InputError(
            f"--tape-layers {cfg.tape_layers}: must lie in 0..{cfg.decoder_layers}, as many as "
            "there are layers"
        )
    if cfg.pointer and adaptive_cutoff(cfg) is not None:
        raise InputError("--pointer: --criterion adaptive_loss has no scores that it could join")
    if cfg.share_decoder_input_output_embed:
        if task.source_dictionary != task.target_dictionary:
            raise InputError("--share-decoder-input-output-embed: needs one dictionary for both")
        check_shared_output(cfg)


def check_outputs(dictionary: Dictionary) -> None:
    """Raise InputError for outputs among which there is no place for unknown words."""
    if len(dictionary) < dictionary.nspecial:
        raise InputError(
            f"--output-dictionary-size {len(dictionary)}: must be {dictionary.nspecial} or above, "
            "as many as the marks that fairseq adds, <unk> the last of them"
        )


def max_positions(task: FairseqTask) -> int:
    """The task's explicit limit; a recurrence has none of its own, so longer blocks than those
    of training are scored in full."""
    limit = getattr(getattr(task, "args", None), "max_target_positions", None)
    return UNLIMITED if limit is None else limit


# beyond the paper, for text in which earlier words come again: an LSTM, and above it a layer whose
# tape is read and pointed at
register_preset(
    "lstmn_lm",
    "lstmn_lm_pointer",
    decoder_layers=2,
    tape_layers=1,
    residuals=True,
    distance_bias=4,
    distance_bias_init=3.0,
    pointer=True,
)
# its rival without a tape, the pointer as Merity et al. 2017 have it
register_preset(
    "lstmn_lm", "lstm_lm_pointer", decoder_layers=2, tape_layers=0, residuals=True, pointer=True
)
# beyond the paper, where the answer depends on one exact earlier token: layers that start near an
# LSTM, and learn from there to look up
register_preset(
    "lstmn_lm",
    "lstmn_lm_recall",
    decoder_layers=2,
    distance_bias=4,
    distance_bias_init=3.0,
)
# table 1 of the paper; no dropout is reported there
PTB = dict(
    dropout=0.0,
    decoder_embed_dim=150,
    decoder_hidden_size=300,
    decoder_out_embed_dim=300,
)
register_preset("lstmn_lm", "lstmn_lm_ptb", **PTB)
register_preset("lstmn_lm", "lstmn_lm_ptb_3layer", decoder_layers=3, **PTB)
