#!/usr/bin/env python3
"""Draw how a gain grows: a table of RESULTS.md, every model relative to the LSTM.

    python scripts/results_curves.py examples/RESULTS.md --table "words of training" \\
        --dest examples/words.png

The table is the one whose second column has that name. A row says a panel of the picture, where on
the horizontal axis it stands, the LSTM's number, and those of other models, by the names at the
columns' heads; what stands behind a number in its cell, and a cell without one, is left out.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from results_map import numbers

from fairseq_lstmn.drawings import quieten
from fairseq_lstmn.errors import InputError, report_in_one_line

if TYPE_CHECKING:  # it must be quiet before
    from matplotlib.axes import Axes

# Okabe & Ito: told apart with any colour vision
COLORS = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
MARKERS = "osD^"

Curve = dict[float, float]  # {at: share of the LSTM's}


class Table(NamedTuple):
    """A table of a page: ``panels`` is {panel: {model: its curve}}."""

    axis: str
    panels: dict[str, dict[str, Curve]]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def rows(text: str, axis: str) -> Iterator[list[str]]:
    """The cells of the table whose second column is ``axis``, its head first."""
    inside = False
    for line in text.splitlines():
        inside = line.startswith("|") and (inside or cells(line)[1:2] == [axis])
        if inside and not set(line) <= set("|- "):
            yield cells(line)


def read(text: str, axis: str) -> Table:
    """The table of a page whose second column is ``axis``.

    Raises InputError if there is none, if it has more models than can be told apart, or if a row
    lacks its place or the LSTM's number.
    """
    head, *body = [*rows(text, axis)] or [[]]
    if not body:
        raise InputError(f"{axis}: no table has such a second column")
    if len(head) - 3 > len(COLORS):
        raise InputError(f"{axis}: {len(head) - 3} models: at most {len(COLORS)} can be told apart")
    panels: dict[str, dict[str, Curve]] = {}
    for row in body:
        if len(row) < 3 or not numbers(row[1]) or not numbers(row[2]):
            raise InputError(f"{axis}: {' | '.join(row)}: lacks a number")
        [at, *_], [lstm, *_] = numbers(row[1]), numbers(row[2])
        for model, cell in zip(head[3:], row[3:]):
            if numbers(cell):
                curves = panels.setdefault(row[0], {})
                curves.setdefault(model, {})[at] = numbers(cell)[0] / lstm
    return Table(axis, panels)


def draw(table: Table, path: Path) -> None:
    """Draw a panel beside the other into the PNG file ``path``."""
    quieten()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(table.panels), 3.2), layout="constrained")
    every = figure.subplots(1, len(table.panels), squeeze=False)[0]
    for axes, (panel, curves) in zip(every, table.panels.items()):
        draw_panel(axes, curves)
        axes.set_title(panel, fontsize=11)
        axes.set_xlabel(table.axis)
    every[0].set_ylabel("relative to the LSTM")
    figure.legend(
        *every[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False
    )
    figure.savefig(path, dpi=130)


def draw_panel(axes: "Axes", curves: dict[str, Curve]) -> None:
    """The curves of all models, with the LSTM's level."""
    from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

    for (model, curve), color, marker in zip(curves.items(), COLORS, MARKERS):
        places = sorted(curve)
        changes = [curve[at] - 1 for at in places]
        axes.plot(places, changes, color=color, marker=marker, markersize=5, label=model)
    axes.axhline(0, zorder=0, color="#57606a", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xticks(sorted({at for curve in curves.values() for at in curve}))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#d0d7de", linewidth=0.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("page", type=Path, metavar="RESULTS.md")
    parser.add_argument("--table", required=True, metavar="NAME", help="of its second column")
    parser.add_argument("--dest", type=Path, required=True, metavar="PNG")
    args = parser.parse_args()
    report_in_one_line()
    draw(read(args.page.read_text(), args.table), args.dest)


if __name__ == "__main__":
    main()
