"""Drawings as SVG text: for paper with fixed colours, for the page with the page's own.

Matplotlib draws in colours that stand for others: ``INK`` for text and axes, ``FAINT`` for what
lies behind, ``GROUND`` for the background, ``SERIES`` for the models.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from fairseq_lstmn.compare.report.series import LIGHT
from fairseq_lstmn.drawings import NO_METADATA, settings

if TYPE_CHECKING:  # slow to import
    from matplotlib.figure import Figure

INK, FAINT, GROUND = "#010200", "#010201", "#010202"
SERIES = [f"#0103{at:02x}" for at in range(len(LIGHT))]

_PAPER = {INK: "#1b1f24", FAINT: "#d0d7de", GROUND: "#ffffff", **dict(zip(SERIES, LIGHT))}
_PAGE = {
    INK: "currentColor",
    FAINT: "var(--line)",
    GROUND: "none",
    **{colour: f"var(--series-{at})" for at, colour in enumerate(SERIES)},
}
_SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": GROUND,
    "axes.facecolor": "none",
    "font.size": 12,
    "grid.color": FAINT,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def drawn(draw: Callable[[Figure], None], name: str, width: float, height: float) -> str:
    """SVG text of what ``draw(figure)`` puts into a figure of ``width`` by ``height`` pixels.

    The same drawing of the same ``name`` is the same text.
    """
    text = io.StringIO()
    with settings(name, **_SETTINGS):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width / 72, height / 72))  # SVG's points are 1/72 inch
        draw(figure)
        figure.savefig(text, format="svg", metadata=NO_METADATA)
    return text.getvalue()


def for_paper(text: str, alternative: str) -> str:
    """A file of its own, dark on white; ``alternative`` says in words what it shows."""
    for stand_in, colour in _PAPER.items():
        text = text.replace(stand_in, colour)
    start = text.index(">", text.index("<svg")) + 1
    return f"{text[:start]}\n <title>{escape(alternative)}</title>{text[start:]}"


def for_page(text: str, name: str, alternative: str) -> str:
    """An element for a page of HTML that defines the colours; all its ids begin with ``name``."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = _local(element.tag)
        found = {_local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update({key: _on_page(key, found[key], name) for key in found})
    for size in ("width", "height"):
        del root.attrib[size]
    root.attrib.update({"role": "img", "aria-label": alternative})
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    """``name`` without its namespace: HTML knows which elements are SVG's."""
    return name.rpartition("}")[2]


def _on_page(key: str, value: str, name: str) -> str:
    """The value of an attribute with the page's colours and ids."""
    if key == "id":
        return f"{name}-{value}"
    if key == "href":
        return value.replace("#", f"#{name}-")
    for stand_in, colour in _PAGE.items():
        value = value.replace(stand_in, colour)
    return value.replace("url(#", f"url(#{name}-")
