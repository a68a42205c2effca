"""The options of a plan as those of fairseq's commands, checked by fairseq's own parsers."""

import contextlib
import io
from argparse import ArgumentParser, Namespace
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Literal

from fairseq import options as fairseq_options
from fairseq.models import ARCH_MODEL_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY

from fairseq_lstmn.compare.kinds.kind import Kind
from fairseq_lstmn.compare.plan.plan import WORDS, check_known
from fairseq_lstmn.compare.types import Options
from fairseq_lstmn.errors import InputError

DEFAULT_TASK = "translation"  # fairseq-train's
# of the options of a training, those that hold for a scoring as well, beside the task's own
SHARED = (
    *("task", "user-dir", "cpu", "batch-size", "max-tokens", "required-batch-size-multiple"),
    *("num-workers", "data-buffer-size", "skip-invalid-size-inputs-valid-test"),
)


def spelled(options: Options) -> dict[str, Literal[True] | str]:
    """Options as a command line has them: True for a flag that is set, else text."""
    return {
        name: value if value is True else ",".join(map(str, listed(value)))
        for name, value in options.items()
        if value is not False
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def arguments(data: str | None, options: Options) -> list[str]:
    """Of a command of fairseq's: its data, if any, and its options; a list has commas."""
    return ([] if data is None else [data]) + [
        part
        for name, value in spelled(options).items()
        for part in ([f"--{name}"] if value is True else [f"--{name}", value])
    ]


def names_of(*configs: Any) -> set[str]:
    """The options of dataclasses of fairseq's; none of None, as of a task without one."""
    return {
        field.name.replace("_", "-") for config in configs if config for field in fields(config)
    }


def task_options(task: str) -> set[str]:
    """The names of a task's options; none for one without a dataclass."""
    return names_of(TASK_DATACLASS_REGISTRY.get(task))


def score_options(kind: Kind, training: Options, own: Options) -> Options:
    """The options of a scoring: those of the training that it shares, then its ``own``."""
    shared = {*SHARED, *kind.shared, *task_options(training.get("task", DEFAULT_TASK))}
    options = {name: value for name, value in training.items() if name in shared}
    options.update(own)
    options[kind.subset] = options.pop("gen-subset", options.get(kind.subset, "test"))
    return options


def check_training(data: str | None, options: Options, section: str) -> Namespace:
    """The parsed arguments of fairseq-train. Raises InputError, naming ``section`` and option."""
    task = options.get("task", DEFAULT_TASK)
    check_known(f"task of fairseq's, in {section}.task", task, TASK_REGISTRY)
    check_known(f"architecture, in {section}.arch", options["arch"], ARCH_MODEL_REGISTRY)
    return parsed(fairseq_options.get_training_parser(), data, options, section)


def parsed(parser: ArgumentParser, data: str | None, options: Options, section: str) -> Namespace:
    """What one of fairseq's parsers makes of options. Raises InputError for what it does not."""
    argv = arguments(data, options)
    said = io.StringIO()
    args: Namespace
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            args, unknown = fairseq_options.parse_args_and_arch(parser, argv, parse_known=True)
    except SystemExit:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise InputError(f"{section}: {reason}") from None
    except Exception as error:  # of an option's own ways to be read
        raise InputError(f"{section}: {' '.join(str(error).split())}") from None
    _check_none(unknown, parser, options, section)
    return args


def _check_none(unknown: list[str], parser: ArgumentParser, options: Options, section: str) -> None:
    """Raise InputError if there are ``unknown`` arguments: an option's name, a flag's value."""
    names = [part.partition("=")[0][2:] for part in unknown if part.startswith("--")]
    # a misspelt one of WORDS leaves options unknown that it would have brought
    for name in [*(name for name in names if get_close_matches(name, WORDS)), *names]:
        known = [text.lstrip("-") for action in parser._actions for text in action.option_strings]
        what = f"option of fairseq's, in {section}, with value {options.get(name)!r}"
        check_known(what, name, known)
    for value in unknown:
        flags = [name for name, spelt in spelled(options).items() if spelt == value]
        where = ".".join([section, *flags[:1]])
        raise InputError(f"{where}: {value}: fairseq takes no value here, but true or false")
