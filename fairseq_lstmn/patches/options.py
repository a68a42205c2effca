"""``fairseq.options``: what commands take options for, do not obey, or cannot."""

import argparse
import importlib.util
import math
import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from fairseq import options
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from fairseq.tasks.translation import TranslationTask

from fairseq_lstmn.data.lengths import UNLIMITED
from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.distributed import refuse_several_readers
from fairseq_lstmn.patches.models import check_criterion, check_task
from fairseq_lstmn.patches.neural_cache import CachedScoring, add_options
from fairseq_lstmn.patches.registry import Original, patch

LIMITS = {"max_positions", "max_source_positions", "max_target_positions"}


@patch(options, "add_eval_lm_args")
def add_eval_lm_args(add: Original, parser: argparse.ArgumentParser) -> None:
    """fairseq-eval-lm scores with a neural cache too."""
    add(parser)
    add_options(parser)


@patch(options, "parse_args_and_arch")
def parse_and_check(
    parse: Original,
    parser: argparse.ArgumentParser,
    input_args: list[str] | None = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Check and correct what fairseq has parsed; raises InputError for what a command cannot do."""
    parsed = parse(parser, input_args, *args, **kwargs)
    namespace = parsed[0] if isinstance(parsed, tuple) else parsed
    arguments = sys.argv if input_args is None else input_args
    # before the options of a task, model or criterion are looked for in another
    check_training(namespace)
    if not kwargs.get("suppress_defaults"):
        leave_limits_to_model(namespace, arguments)
    check_reading(namespace)
    leave_tpu_to_its_option(namespace, arguments)
    refuse_several_readers(namespace)
    return parsed


def check_training(namespace: Any) -> None:
    """Raise InputError for a model of this package with a task or criterion it is not for."""
    if hasattr(namespace, "arch"):
        model = ARCH_MODEL_REGISTRY[namespace.arch]
        check_task(namespace.arch, model, TASK_REGISTRY[namespace.task])
        check_criterion(namespace.arch, model, namespace.criterion)


def leave_limits_to_model(namespace: Any, arguments: Iterable[str]) -> None:
    """A task has no limit by default where the model's counts.

    One that is given, or to which texts are to be shortened, stays.
    """
    if not limits_are_the_models(namespace) or shortens(namespace):
        return
    config = TASK_DATACLASS_REGISTRY.get(namespace.task)
    names = {field.name for field in fields(config)} if config else set()
    options_set = {argument.partition("=")[0] for argument in arguments}
    for name in names & LIMITS:
        if f"--{name.replace('_', '-')}" not in options_set:
            setattr(namespace, name, UNLIMITED)


def limits_are_the_models(namespace: Any) -> bool:
    """Whether a model is trained that reads any length, or translation models are scored.

    Of those each has the limit by which it was trained, as far as it has one.
    """
    arch = getattr(namespace, "arch", None)
    if arch is not None:
        return getattr(ARCH_MODEL_REGISTRY.get(arch), "reads_any_length", False)
    return issubclass(TASK_REGISTRY.get(getattr(namespace, "task", None), object), TranslationTask)


def shortens(namespace: Any) -> bool:
    """Whether texts are to be shortened to a task's limit."""
    method = str(getattr(namespace, "shorten_method", "none"))
    return method != "none" or getattr(namespace, "truncate_source", False)


def check_reading(namespace: Any) -> None:
    """Raise InputError for what a command that reads a checkpoint cannot do."""
    interactive = hasattr(namespace, "buffer_size")
    generate = hasattr(namespace, "replace_unk") and not interactive
    if interactive:
        check_interactive(namespace)
    if generate:
        check_generate(namespace)
    eval_lm = hasattr(namespace, "neural_cache")
    if eval_lm:
        check_window(namespace)
    if generate or eval_lm:
        check_shard(namespace)
    CachedScoring.current = CachedScoring.of(namespace) if eval_lm else None
    if generate:
        take_shard(namespace)


def check_window(namespace: Any) -> None:
    """A block is what the window leaves of its length."""
    window, length = namespace.context_window, getattr(namespace, "tokens_per_sample", math.inf)
    if not 0 <= window < length:
        raise InputError(
            f"--context-window {window}: must be 0 or above and below --tokens-per-sample {length}"
        )


def check_interactive(namespace: Any) -> None:
    if namespace.print_alignment == "soft":
        raise InputError(
            "--print-alignment soft: fairseq-interactive prints hard alignments only;"
            " fairseq-generate prints both"
        )
    if namespace.score_reference:
        raise InputError(
            "--score-reference: fairseq-interactive reads no references; fairseq-generate does"
        )
    if namespace.replace_unk is not None and namespace.post_process:
        raise InputError(
            f"--replace-unk: copies single tokens of the source, which --post-process"
            f" {namespace.post_process} joins here; leave it out"
        )


def check_generate(namespace: Any) -> None:
    if namespace.replace_unk is None:
        return
    if namespace.dataset_impl != "raw":
        raise InputError(
            f"--dataset-impl {namespace.dataset_impl}: --replace-unk copies words, which only raw"
            " data hold (--dataset-impl raw, here and in fairseq-preprocess)"
        )
    for option in ("bpe", "tokenizer"):
        if value := getattr(namespace, option, None):
            raise InputError(
                f"--replace-unk: copies single tokens of the source, which --{option} {value}"
                " joins here; leave it out"
            )


def check_shard(namespace: Any) -> None:
    shards, shard = namespace.num_shards, namespace.shard_id
    if not 0 <= shard < max(shards, namespace.distributed_world_size):
        raise InputError(f"--shard-id {shard}: must be 0 or above and below --num-shards {shards}")


def take_shard(namespace: Any) -> None:
    """Say it where fairseq-generate looks, as fairseq-eval-lm does it."""
    shards, processes = namespace.num_shards, namespace.distributed_world_size
    namespace.distributed_world_size = max(shards, processes)
    namespace.distributed_rank = max(namespace.shard_id, namespace.distributed_rank)


def leave_tpu_to_its_option(namespace: Any, arguments: Iterable[str]) -> None:
    """``--bf16`` and ``--memory-efficient-bf16`` train in bfloat16 on the device that is there.

    fairseq lets them imply ``--tpu``, and so crashes on a CPU or GPU for want of ``torch_xla`` (its
    issue 4696). Here only ``--tpu`` says that there is a TPU, unless ``torch_xla`` is there.
    """
    if getattr(namespace, "bf16", False) and not importlib.util.find_spec("torch_xla"):
        namespace.tpu = "--tpu" in arguments
