"""``eval`` in fairseq's modules, which settings reach that a checkpoint may hold."""

import ast
import sys
from typing import Any

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches.registry import setting

PLAIN_SYNTAX = (
    ast.Expression,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Dict,
    ast.Load,
    ast.UnaryOp,
    ast.UAdd,
    ast.USub,
    ast.BinOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.FloorDiv,
)


@setting
def restrict_evaluated_settings() -> None:
    """Settings are evaluated as plain values; they cannot call anything.

    Every fairseq passes strings like ``--decoder-attention`` or ``--adaptive-softmax-cutoff`` to
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
