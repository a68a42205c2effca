"""Where the vectors of words start, chosen by a task, so that any model can have it."""

from dataclasses import dataclass, field
from typing import Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqLanguageModel
from torch import nn

from fairseq_lstmn.errors import InputError


@dataclass
class EmbedStdConfig(FairseqDataclass):
    """The option of tasks for language models whose words are to be found again on a tape."""

    embed_std: Optional[float] = field(
        default=None,
        metadata={
            "help": "draw the input vectors of every model from a normal distribution of this "
            "width (default: as the model draws them)"
        },
    )


def check_embed_std(std: float | None) -> None:
    """Raise InputError for a width that there cannot be."""
    if std is not None and std < 0:
        raise InputError(f"--embed-std {std}: must be 0 or above")


def with_embed_std(
    model: FairseqLanguageModel, std: float | None, model_cfg: object
) -> FairseqLanguageModel:
    """The language model, its input vectors drawn from N(0, std^2) if that is set.

    Raises InputError where they are read from a file. For a model that is new, not from a
    checkpoint.
    """
    if std is None:
        return model
    if vectors := getattr(model_cfg, "decoder_embed_path", None):
        raise InputError(f"--embed-std {std}: --decoder-embed-path {vectors} has the vectors")
    embedding = model.decoder.embed_tokens
    nn.init.normal_(embedding.weight, std=std)
    nn.init.zeros_(embedding.weight[embedding.padding_idx])
    return model
