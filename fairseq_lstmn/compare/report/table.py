"""A table of a report, whatever its format."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fairseq_lstmn.compare.report.numbers import MISSING, number
from fairseq_lstmn.compare.report.record import ModelEntry, Results

_NUMERIC = re.compile(rf"[+<−]?\d.*|{MISSING}( / .*)?")

_LONG_TEXT, _LONG_WORD = 28, 14  # characters; in a column, longer ones are broken into lines

Cell: TypeAlias = Callable[[ModelEntry], str]  # what a column says of a model


@dataclass(frozen=True)
class Table:
    """Text in rows, one a model, or in columns, one a model; in the plan's order.

    Attributes:
        title: what the table shows.
        header: the names of the columns.
        rows: the cells of every row, the first of which names it.
    """

    title: str
    header: list[str]
    rows: list[list[str]]

    @property
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers, for every column."""
        columns = list(zip(*self.rows))[1:]
        return [False] + [all(map(_NUMERIC.fullmatch, column)) for column in columns]

    def turned(self, corner: str) -> "Table":
        """A row for each column but the first, and a column for each row; ``corner`` heads them.

        For tables with more columns than a page may have room for.
        """
        names, *columns = zip(self.header, *self.rows)
        return Table(self.title, [corner, *names[1:]], [list(column) for column in columns])


def is_long(text: str) -> bool:
    """Whether a cell's text would make its column too wide for a page, unless it is broken."""
    return len(text) > _LONG_TEXT or any(len(word) > _LONG_WORD for word in text.split())


def table(title: str, results: Results, columns: Mapping[str, Cell]) -> Table:
    """A table of ``columns``: what to say of a model, by the column's name."""

    def row(model: ModelEntry) -> list[str]:
        return [model["name"], *(say(model) for say in columns.values())]

    return Table(title, ["model", *columns], [row(model) for model in results["models"]])


def of_part(
    part: Literal["parameters", "budget", "cost"],
    name: str,
    say: Callable[[float | None], str] = number,
) -> Cell:
    """What ``say`` makes of a number in a part of the model's record, budget or cost."""
    return lambda model: say((model[part] or {}).get(name))
