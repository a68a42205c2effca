"""What is set once: the evaluation of settings, what numpy has no more, and warnings to hide."""

import ast
import sys
import types
import warnings
from typing import Any

import numpy as np

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import setting

PLAIN_SYNTAX = (
    *(ast.Expression, ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Load),
    *(ast.UnaryOp, ast.UAdd, ast.USub),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv),
)
# warnings of what fairseq stands on about what fairseq does, which no user of it can change: how
# the message begins, a pattern, and in which modules
SILENCED = (
    # hydra, of how fairseq reads its settings
    (r"hydra\.experimental\.(initialize|compose)\(\) is no longer experimental", ""),
    (r"\s*The version_base parameter is not specified", ""),
    (r"\s*The strict flag in the compose API is deprecated", ""),
    (r"\s*'config' is validated against ConfigStore schema with the same name", ""),
    (r"In 'config': Usage of deprecated keyword in package header '# @package _group_'", ""),
    # torch, of fairseq's loaders, trainer and models
    (r"'pin_memory' argument is set as true but no accelerator is found", ""),
    (r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated", r"fairseq\."),
    (r"Support for mismatched key_padding_mask and attn_mask is deprecated", ""),
    (r"`torch\.nn\.utils\.weight_norm` is deprecated", ""),
    (r"Using non-full backward hooks on a Module that does not take as input a single", ""),
    (r"Positional args are being deprecated, use kwargs instead", r"fairseq\."),
)


@setting
def restrict_evaluated_settings() -> None:
    """Settings are evaluated as plain values; they cannot call anything.

    fairseq passes strings like ``--decoder-attention`` or ``--adaptive-softmax-cutoff`` to
    Python's ``eval`` when it builds a model. With generate, eval-lm and validate these strings
    come from the checkpoint, so it could run code through them although it holds nothing but
    strings. In fairseq's modules ``eval`` becomes an evaluation of literals and arithmetic.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("fairseq."):
            vars(module)["eval"] = evaluate_plain_value


def evaluate_plain_value(text: str) -> Any:
    if not isinstance(text, str):
        raise TypeError(f"setting {text!r}: is no text")  # as eval does, for a setting that is read
    tree = ast.parse(text.lstrip(), mode="eval")
    if not all(isinstance(node, PLAIN_SYNTAX) for node in ast.walk(tree)):
        raise InputError(
            f"setting {text!r}: refused, because only numbers, strings, True, False, lists and"
            " arithmetic with them may stand there"
        )
    return eval(compile(tree, "<setting>", "eval"))


@setting
def restore_numpy_long() -> None:
    """``--sample-break-mode eos`` and ``--num-batch-buckets`` work without ``np.compat``.

    numpy >= 2 has no ``np.compat``, whose ``long`` (Python's ``int``) is what TokenBlockDataset
    and LanguagePairDataset ask for. LM generation and interactive need the former as well.
    """
    if not hasattr(np, "compat"):
        vars(np)["compat"] = types.SimpleNamespace(long=int)


@setting
def silence() -> None:
    """Show none of SILENCED; a filter that is there already is not added again."""
    for message, module in SILENCED:
        warnings.filterwarnings("ignore", message=message, module=module)
