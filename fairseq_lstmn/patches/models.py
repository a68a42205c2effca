"""``fairseq.models``: which tasks a model is for, and where a model and its outputs are.

A model of this package names its tasks in ``for_tasks``.
"""

import copy
from typing import Any

import torch
from fairseq import models
from fairseq.criterions import CRITERION_REGISTRY
from fairseq.criterions.sentence_prediction import SentencePredictionCriterion
from fairseq.models import (
    ARCH_MODEL_REGISTRY,
    MODEL_REGISTRY,
    BaseFairseqModel,
    distributed_fairseq_model,
)
from fairseq.models.lstm import LSTMEncoder
from fairseq.tasks import TASK_REGISTRY
from fairseq.tasks.fairseq_task import FairseqTask
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models.reading import ReadingModel
from fairseq_lstmn.patches.alignment import with_alignment
from fairseq_lstmn.patches.neural_cache import CachedScoring
from fairseq_lstmn.patches.registry import Original, patch


@patch(models, "build_model")
def build_what_fits(build: Original, cfg: Any, task: FairseqTask, *args: Any, **kwargs: Any) -> Any:
    """Raise InputError for a model that is not for the task.

    So it may be where a checkpoint is scored, and in trainings without a command line.
    """
    model = model_of(cfg)
    if model is not None:
        check_task(architecture(cfg), model, type(task))
    return build(cfg, task, *args, **kwargs)


def model_of(cfg: Any) -> type[BaseFairseqModel] | None:
    """The class of a model's config or Namespace; None where nothing is registered so."""
    arch = architecture(cfg)
    model: type[BaseFairseqModel] | None = ARCH_MODEL_REGISTRY.get(arch) or MODEL_REGISTRY.get(arch)
    return model


def architecture(cfg: Any) -> str:
    """The ``--arch`` of a model's config or Namespace."""
    return getattr(cfg, "_name", None) or str(getattr(cfg, "arch", None))


def check_task(arch: str, model: type[Any], task: type[Any]) -> None:
    """Raise InputError where ``model``, of architecture ``arch``, is not for the class ``task``.

    Other packages' models and tasks are taken as they are, except for tasks that are derived
    from one of those that a model of this package is for.
    """
    fitting = getattr(model, "for_tasks", None)
    name = nearest_task(task)
    if fitting is not None and name is not None and name not in fitting:
        raise InputError(f"--task {name}: --arch {arch} is for {', '.join(fitting)}")


def nearest_task(task: type[Any]) -> str | None:
    """The name of the task from which ``task`` is derived, of those that some model here is for.

    Otherwise its own name if it is fairseq's, else None.
    """
    names: dict[type[Any], str] = {registered: name for name, registered in TASK_REGISTRY.items()}
    ours = {name for model in MODEL_REGISTRY.values() for name in getattr(model, "for_tasks", ())}
    for ancestor in task.__mro__:
        if names.get(ancestor) in ours:
            return names[ancestor]
    return names.get(task) if task.__module__.startswith("fairseq.tasks.") else None


def check_criterion(arch: str, model: type[Any], criterion: str) -> None:
    """Raise InputError where a model of this package and a criterion of fairseq's do not fit.

    One of the two predicts words and the other a label.
    """
    if not hasattr(model, "for_tasks"):
        return
    registered = CRITERION_REGISTRY[criterion]
    of_labels = issubclass(registered, SentencePredictionCriterion)
    if issubclass(model, ReadingModel):
        if not of_labels and registered.__module__.startswith("fairseq.criterions."):
            raise InputError(f"--criterion {criterion}: --arch {arch} is for sentence_prediction")
    elif of_labels:
        raise InputError(f"--criterion {criterion}: --arch {arch} predicts words, not a label")


@patch(BaseFairseqModel, "prepare_for_inference_")
def prepare_for_inference(prepare: Original, model: BaseFairseqModel, cfg: Any) -> None:
    """Where unknown words are to be replaced the model keeps its attention.

    What is scored with a neural cache is made known to what tunes it.
    """
    if CachedScoring.current is not None:
        CachedScoring.current.models.append(model)
    generation = with_alignment(cfg.generation)
    if generation is not cfg.generation:
        cfg = copy.copy(cfg)
        cfg.generation = generation
    prepare(model, cfg)


@patch(distributed_fairseq_model, "DistributedDataParallel")
def distribute_where_it_is(distribute: Original, module: nn.Module, **kwargs: Any) -> Any:
    """``--ddp-backend pytorch_ddp``, the default, trains on several CPUs.

    fairseq names a GPU to torch's ``DistributedDataParallel``, which refuses it for a model on the
    CPU.
    """
    if not next(module.parameters()).is_cuda:
        kwargs.update(device_ids=None, output_device=None)
    return distribute(module=module, **kwargs)


@patch(LSTMEncoder, "forward")
def encode_in_order(
    forward: Original, encoder: LSTMEncoder, src_tokens: Tensor, *args: Any, **kwargs: Any
) -> Any:
    """Put the outputs where ``src_tokens`` (B, S) are; S source length, H width of the encoder.

    The outputs (S, B, H) and their mask (S, B) are right-padded, whatever the tokens are. The
    order matters to attention, which no ``lstm`` returns in training.
    """
    encoded = forward(encoder, src_tokens, *args, **kwargs)
    left_padded = src_tokens[:, 0].eq(encoder.padding_idx).any()
    if encoder.training or not left_padded:
        return encoded
    outputs, hidden, cells, mask = encoded
    steps = torch.arange(len(mask), device=mask.device).unsqueeze(1)
    place = (steps - mask.sum(0)) % len(mask)  # (S, B)
    outputs = outputs.gather(0, place.unsqueeze(2).expand_as(outputs))
    return outputs, hidden, cells, mask.gather(0, place)
