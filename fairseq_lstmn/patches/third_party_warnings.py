"""Warnings of what fairseq stands on about what fairseq does, which no user of it can change."""

import warnings
from typing import NamedTuple

from fairseq_lstmn.patches.registry import setting


class Silenced(NamedTuple):
    """Of a warning: how its message begins, a pattern, and in which modules, if it says so."""

    message: str
    module: str = ""


SILENCED = (
    # hydra, of how fairseq reads its settings
    Silenced(r"hydra\.experimental\.(initialize|compose)\(\) is no longer experimental"),
    Silenced(r"\s*The version_base parameter is not specified"),
    Silenced(r"\s*The strict flag in the compose API is deprecated"),
    Silenced(r"\s*'config' is validated against ConfigStore schema with the same name"),
    Silenced(r"In 'config': Usage of deprecated keyword in package header '# @package _group_'"),
    # torch, of fairseq's loaders, trainer and models
    Silenced(r"'pin_memory' argument is set as true but no accelerator is found"),
    Silenced(r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated", r"fairseq\."),
    Silenced(r"Support for mismatched key_padding_mask and attn_mask is deprecated"),
    Silenced(r"`torch\.nn\.utils\.weight_norm` is deprecated"),
    Silenced(r"Using non-full backward hooks on a Module that does not take as input a single"),
    Silenced(r"Positional args are being deprecated, use kwargs instead", r"fairseq\."),
)


@setting
def silence() -> None:
    """Show none of SILENCED; a filter that is there already is not added again."""
    for message, module in SILENCED:
        warnings.filterwarnings("ignore", message=message, module=module)
