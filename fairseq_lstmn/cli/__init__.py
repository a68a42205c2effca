"""``fairseq-lstmn``: the package's own commands, one module each.

A command's module has a docstring (its help), ``add_arguments(parser)`` and
``run(args)``, which returns the exit status. Its name stands in ``COMMANDS``.
"""

from argparse import ArgumentParser, Namespace
from importlib import import_module

from fairseq_lstmn import __version__
from fairseq_lstmn.errors import InputError

COMMANDS = (
    "path",
    "doctor",
    "build",
    "prepare",
    "predict",
    "average",
    "compare",
    "attention",
)


def main(argv: list[str] | None = None) -> int:
    """Run ``fairseq-lstmn`` with ``argv``, the process's own by default; the exit status."""
    args = _arguments(parser(), argv)
    try:
        return int(args.run(args))
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def _arguments(parser: ArgumentParser, argv: list[str] | None) -> Namespace:
    args, rest = parser.parse_known_args(argv)
    # argparse finds positional arguments in one place only; people put them anywhere
    words = not any(word.startswith("-") for word in rest)
    if hasattr(args, "overrides") and words:
        args.overrides += rest
    elif len(rest) == 1 and words and getattr(args, "input", rest) is None:
        [args.input] = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def parser() -> ArgumentParser:
    """The parser of all commands; tools for the completion of shells want it as well."""
    whole = ArgumentParser(prog="fairseq-lstmn", description="Beside fairseq's commands.")
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"fairseq_lstmn.cli.{name}")
        summary = (module.__doc__ or "").partition("\n")[0].rstrip(".")
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return whole
