"""fairseq's base class of models."""

import copy
from collections.abc import Callable
from typing import Any

from fairseq import models
from fairseq.models import BaseFairseqModel, distributed_fairseq_model
from torch import nn

from fairseq_lstmn.patches import fitting
from fairseq_lstmn.patches.alignment import with_alignment
from fairseq_lstmn.patches.registry import patch


@patch(BaseFairseqModel, "prepare_for_inference_")
def prepare_for_inference(
    prepare: Callable[[BaseFairseqModel, Any], None], model: BaseFairseqModel, cfg: Any
) -> None:
    """The model's method; where unknown words are to be replaced it keeps its attention."""
    generation = with_alignment(cfg.generation)
    if generation is not cfg.generation:
        cfg = copy.copy(cfg)
        cfg.generation = generation
    return prepare(model, cfg)


@patch(distributed_fairseq_model, "DistributedDataParallel")
def distribute_where_it_is(
    distribute: Callable[..., nn.Module], module: nn.Module, **kwargs: object
) -> nn.Module:
    """``--ddp-backend pytorch_ddp``, the default, trains on several CPUs.

    Every fairseq names a GPU to torch's ``DistributedDataParallel``, which refuses it for a model
    on the CPU.
    """
    if not next(module.parameters()).is_cuda:
        kwargs.update(device_ids=None, output_device=None)
    return distribute(module=module, **kwargs)


# A model that is not for its task is named in one line.
patch(models, "build_model")(fitting.build_model)
