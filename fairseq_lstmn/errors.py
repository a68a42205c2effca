"""Errors that a user can correct: one line that names the option or file and the value."""

import sys
import textwrap
from collections.abc import Iterator
from types import TracebackType


class InputError(ValueError):
    """Bad input; the message is one line naming the option or file and its value."""


def shortened(error: Exception) -> str:
    """The kind and the message of any error in 120 letters."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 120)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what was being handled when it came, back to the first."""
    while error is not None:
        yield error
        error = error.__context__


def report_in_one_line() -> None:
    """Let a command that ends in an ``InputError`` print its one line and no traceback.

    All other exceptions go to the hook that stood there before.
    """
    previous = sys.excepthook
    if getattr(previous, "reports_input_errors", False):
        return

    def hook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if issubclass(kind, InputError):
            print(f"error: {error}", file=sys.stderr)
        else:
            previous(kind, error, traceback)

    hook.reports_input_errors = True  # type: ignore[attr-defined]
    sys.excepthook = hook
