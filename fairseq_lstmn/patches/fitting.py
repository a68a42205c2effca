"""What a training is put together of and does not fit: its task, its criterion, its checkpoint."""

import re
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_REGISTRY, BaseFairseqModel
from fairseq.tasks import TASK_REGISTRY
from fairseq.tasks.fairseq_task import FairseqTask

from fairseq_lstmn.checkpoints import State, misfit
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.models import check_criterion, check_task
from fairseq_lstmn.training.trainer import Trainer

Rest = ParamSpec("Rest")  # what else a function of fairseq's takes
Result = TypeVar("Result")


def parse(parse_args_and_arch: Callable[..., Result], *args: object, **kwargs: object) -> Result:
    """fairseq's ``parse_args_and_arch``.

    Raises InputError for a model of this package with a task or criterion that it is not for,
    before the options of the one are looked for in the other.
    """
    parsed = parse_args_and_arch(*args, **kwargs)
    options: Any = parsed[0] if isinstance(parsed, tuple) else parsed
    if hasattr(options, "arch"):  # a training
        model = ARCH_MODEL_REGISTRY[options.arch]
        check_task(options.arch, model, TASK_REGISTRY[options.task])
        check_criterion(options.arch, model, options.criterion)
    return parsed


def build_model(
    build: Callable[Concatenate[Any, FairseqTask, Rest], Result],
    cfg: Any,
    task: FairseqTask,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """fairseq's ``models.build_model``; raises InputError for a model that is not for the task.

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


def load_or_begin(load: Callable[Rest, Result], *args: Rest.args, **kwargs: Rest.kwargs) -> Result:
    """fairseq's ``checkpoint_utils.load_checkpoint``.

    Raises InputError for a ``--finetune-from-model`` that does not exist, or beside options that
    contradict it.
    """
    try:
        return load(*args, **kwargs)
    except ValueError as error:
        if isinstance(error, InputError) or not str(error).startswith("--finetune-from-model"):
            raise
        raise InputError(str(error).partition(": ")[0]) from error  # all settings may follow


def load_weights(
    load: Callable[Concatenate[Trainer, str, Rest], State | None],
    trainer: Trainer,
    filename: str,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> State | None:
    """fairseq's ``Trainer.load_checkpoint``.

    Raises InputError, in one line, for a checkpoint of another model, criterion or optimizer.
    """
    try:
        return load(trainer, filename, *args, **kwargs)
    except InputError:
        raise
    except Exception as error:  # fairseq raises a plain one
        reason = other_model(error, architecture(trainer.cfg.model)) or other_training(error)
        if reason is None:
            raise
        raise InputError(f"{filename}: {reason}") from error


def other_model(error: Exception, arch: str) -> str | None:
    """How a checkpoint's model is not that of ``arch``; None where ``error`` is of another kind."""
    for cause in misfit.causes(error):
        if sizes := misfit.sizes(cause):
            weight, held, needed = sizes
            return (
                f"{weight} is ({held}), but with the options and dictionaries of this training it"
                f" is ({needed})"
            )
        missing, unexpected = misfit.names(cause)
        if missing:
            return f"is of another model than --arch {arch} with these options, lacks {missing[0]}"
        if unexpected:
            return f"is of another model than --arch {arch} with these options, has {unexpected[0]}"
    return None


def other_training(error: Exception) -> str | None:
    """How criterion or optimizer are not those of a checkpoint; None for other errors.

    fairseq asserts that both are the same, torch that the optimizer's parameters are as many.
    """
    if re.match("(Criterion|Optimizer) does not match", str(error)):
        return str(error)
    if str(error).startswith("loaded state dict"):
        return "its optimizer has other parameters; please reset the optimizer (--reset-optimizer)"
    return None
