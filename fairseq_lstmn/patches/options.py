"""``fairseq.options``: what the commands of fairseq take options for."""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from fairseq.tasks.translation import TranslationTask

from fairseq_lstmn.data.lengths import UNLIMITED

Result = TypeVar("Result")

LIMITS = {"max_positions", "max_source_positions", "max_target_positions"}


def leave_limits_to_the_model(
    parse: Callable[..., Result],
    parser: argparse.ArgumentParser,
    input_args: list[str] | None = None,
    *args: object,
    **kwargs: object,
) -> Result:
    """fairseq's ``parse_args_and_arch``; a task has no limit by default where the model's counts.

    One that is given, or to which texts are to be shortened, stays.
    """
    parsed = parse(parser, input_args, *args, **kwargs)
    namespace: Any = parsed[0] if isinstance(parsed, tuple) else parsed
    only_given = bool(kwargs.get("suppress_defaults"))
    if not only_given and limits_are_the_models(namespace) and not shortens(namespace):
        set_no_limits(namespace, sys.argv if input_args is None else input_args)
    return parsed


def limits_are_the_models(namespace: Any) -> bool:
    """Whether a model is trained that reads any length, or translation models are scored.

    Of those each has the limit by which it was trained, as far as it has one.
    """
    arch = getattr(namespace, "arch", None)
    if arch is not None:
        return getattr(ARCH_MODEL_REGISTRY.get(arch), "reads_any_length", False)
    return issubclass(TASK_REGISTRY.get(getattr(namespace, "task", None), object), TranslationTask)


def set_no_limits(namespace: Any, arguments: Iterable[str]) -> None:
    """Set those limits of a task to none that are not among the arguments."""
    config = TASK_DATACLASS_REGISTRY.get(namespace.task)
    names = {field.name for field in fields(config)} if config else set()
    given = {argument.partition("=")[0] for argument in arguments}
    for name in names & LIMITS:
        if f"--{name.replace('_', '-')}" not in given:
            setattr(namespace, name, UNLIMITED)


def shortens(namespace: Any) -> bool:
    """Whether texts are to be shortened to a task's limit."""
    method = str(getattr(namespace, "shorten_method", "none"))
    return method != "none" or getattr(namespace, "truncate_source", False)
