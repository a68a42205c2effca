"""Where the vectors of words start, chosen by a task, so that any model can have it."""

from dataclasses import dataclass, field
from typing import Any, Optional

from fairseq.dataclass import FairseqDataclass
from fairseq.models import FairseqLanguageModel
from fairseq.tasks.fairseq_task import FairseqTask
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


class EmbedStdTask(FairseqTask):
    """Draws the input vectors of a new language model from N(0, embed_std^2) if that is set."""

    @classmethod
    def setup_task(cls, cfg: Any, **kwargs: Any) -> Any:
        """Raises InputError for a width that there cannot be."""
        if cfg.embed_std is not None and cfg.embed_std < 0:
            raise InputError(f"--embed-std {cfg.embed_std}: must be 0 or above")
        return super().setup_task(cfg, **kwargs)

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> FairseqLanguageModel:
        """Raises InputError where the vectors are read from a file."""
        model: FairseqLanguageModel = super().build_model(cfg, from_checkpoint)
        settings: Any = getattr(self, "args", None) or self.cfg  # fairseq's of language modelling
        std = settings.embed_std
        if std is None or from_checkpoint:
            return model
        if vectors := getattr(cfg, "decoder_embed_path", None):
            raise InputError(f"--embed-std {std}: --decoder-embed-path {vectors} has the vectors")
        embedding = model.decoder.embed_tokens
        nn.init.normal_(embedding.weight, std=std)
        nn.init.zeros_(embedding.weight[embedding.padding_idx])
        return model
