"""Nested named tuples as tensors in one row, each with a dotted name: what operators of torch take.

``Inputs``, say, are ``query_inputs``, ..., ``weights.key``, ..., ``tape.hidden`` and so on.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

from torch import Tensor

from fairseq_lstmn.ops.passes.trace import Trace
from fairseq_lstmn.ops.types import Results, Source, Tape, Weights

Kind = TypeVar("Kind", bound=tuple[Any, ...])  # a named tuple
PARTS = {"weights": Weights, "tape": Tape, "source": Source, "trace": Trace, "gradients": Results}


def flat(value: Any) -> dict[str, Tensor]:
    """The tensors in ``value``, nested named tuples, by dotted name."""
    found: dict[str, Tensor] = {}
    for name, part in zip(value._fields, value):
        if isinstance(part, Tensor):
            found[name] = part
        elif isinstance(part, tuple):
            found.update({f"{name}.{inner}": tensor for inner, tensor in flat(part).items()})
    return found


def nested(kind: type[Kind], names: str, tensors: Sequence[Tensor]) -> Kind:
    """The ``kind`` that ``flat`` has taken apart; what had no tensor in it is None.

    ``names`` are the dotted ones in one string, a space between two.
    """
    made: Kind = filled(numbered(kind, names), tensors)
    return made


@cache
def numbered(kind: Any, names: str) -> Any:
    """``nested`` with each tensor's number in its place."""
    fields: dict[str, Any] = {}
    parts: dict[str, dict[str, int]] = {}
    for number, name in enumerate(names.split()):
        part, _, field = name.rpartition(".")
        (parts.setdefault(part, {}) if part else fields)[field] = number
    fields.update({name: complete(PARTS[name], inside) for name, inside in parts.items()})
    return complete(kind, fields)


def filled(numbers: Any, tensors: Sequence[Tensor]) -> Any:
    """The named tuple ``numbers`` with ``tensors`` in place of their numbers."""
    if isinstance(numbers, tuple):
        return type(numbers)(*(filled(number, tensors) for number in numbers))
    return None if numbers is None else tensors[numbers]


def complete(kind: Any, fields: dict[str, Any]) -> Any:
    """The named tuple ``kind`` with None for the fields that are not given."""
    return kind(*(fields.get(name) for name in kind._fields))
