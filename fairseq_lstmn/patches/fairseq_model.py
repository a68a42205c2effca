"""fairseq's base class of models."""

import copy
from collections.abc import Callable
from typing import Any

from fairseq.models import BaseFairseqModel

from fairseq_lstmn.patches.alignment import with_alignment


def prepare_for_inference(
    prepare: Callable[[BaseFairseqModel, Any], None], model: BaseFairseqModel, cfg: Any
) -> None:
    """The model's method; where unknown words are to be replaced it keeps its attention."""
    generation = with_alignment(cfg.generation)
    if generation is not cfg.generation:
        cfg = copy.copy(cfg)
        cfg.generation = generation
    return prepare(model, cfg)
