"""``fairseq.options``: what the commands of fairseq take options for."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY

from fairseq_lstmn.data.lengths import UNLIMITED

Result = TypeVar("Result")


def leave_limits_to_the_model(
    parse: Callable[..., Result],
    parser: argparse.ArgumentParser,
    input_args: list[str] | None = None,
    *args: object,
    **kwargs: object,
) -> Result:
    """fairseq's ``parse_args_and_arch``; a model that reads any length is trained without a limit.

    One that is given, or to which texts are to be shortened, stays.
    """
    parsed = parse(parser, input_args, *args, **kwargs)
    namespace: Any = parsed[0] if isinstance(parsed, tuple) else parsed
    model = ARCH_MODEL_REGISTRY.get(getattr(namespace, "arch", None))
    if getattr(model, "reads_any_length", False) and not shortens(namespace):
        set_no_limits(namespace)
    return parsed


def set_no_limits(namespace: Any) -> None:
    """Set those limits of a task that are not given; fairseq knows their defaults elsewhere."""
    config = TASK_DATACLASS_REGISTRY.get(namespace.task)
    names = {field.name for field in fields(config)} if config else set()
    for name in names & {"max_positions"}:
        if getattr(namespace, name, None) is None:
            setattr(namespace, name, UNLIMITED)


def shortens(namespace: Any) -> bool:
    """Whether texts are to be shortened to a task's limit."""
    return str(getattr(namespace, "shorten_method", "none")) != "none"
