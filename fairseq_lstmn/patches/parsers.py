"""How options become command lines: ``argparse``, and what fairseq makes of dataclasses for it."""

import argparse
import types
from typing import Any, get_args

from fairseq.dataclass import utils

from fairseq_lstmn.patches.registry import Original, patch, setting, wrap


@patch(utils, "interpret_dc_type")
def read_optional(interpret_dc_type: Original, field_type: Any) -> Any:
    """An option of type ``Optional[X]`` is parsed as an X on Python 3.14.

    fairseq knows the type by its text, which is ``X | None`` since, for whatever way of writing it:
    argparse was to call the union, and no command with such an option (all have some) could start.
    """
    if isinstance(field_type, types.UnionType) and type(None) in get_args(field_type):
        return get_args(field_type)[0]
    return interpret_dc_type(field_type)


@setting
def look_at_texts() -> None:
    """hydra's command line starts on Python 3.14.

    There argparse looks for a misplaced ``%`` in the help of an option that is added. With
    hydra <= 1.3 one has an object there, whose text hydra itself shows (its issue 3121).
    """
    if hasattr(argparse._ActionsContainer, "_check_help"):
        wrap(argparse._ActionsContainer, "_check_help", check_text)


def check_text(
    check_help: Original, parser: argparse.ArgumentParser, action: argparse.Action
) -> None:
    if not action.help or isinstance(action.help, str):
        check_help(parser, action)
