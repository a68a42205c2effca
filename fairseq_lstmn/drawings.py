"""Matplotlib's drawings: words stay words, and the same drawing is the same file at any time."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SETTINGS = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a word may hold dollars
}
NO_METADATA: dict[str, str | None] = dict.fromkeys(
    ("Creator", "Date", "Format", "Type")
)  # of an SVG


def quieten() -> None:
    """Before Matplotlib is used: fairseq's import has every logger tell everything."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


@contextmanager
def settings(name: str, **more: object) -> Iterator[None]:
    """Matplotlib's own settings, not the user's, with ours and ``more``; ``name`` seeds ids."""
    quieten()
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # words of any script: the reader's fonts are what an SVG needs
        warnings.filterwarnings("ignore", message="Glyph")
        matplotlib.rcdefaults()
        # Any, as Matplotlib's types name every setting that there is
        ours: dict[Any, object] = {**_SETTINGS, "svg.hashsalt": name, **more}
        matplotlib.rcParams.update(ours)
        yield
