"""Matplotlib's drawings: words stay words, and the same drawing is the same file at any time."""

import logging
import warnings
from contextlib import contextmanager

_SETTINGS = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a word may hold dollars
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # of an SVG


def quieten():
    """Before Matplotlib is used: fairseq's import has every logger tell everything."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


@contextmanager
def settings(name, **more):
    """Matplotlib's own settings, not the user's, with ours and ``more``; ``name`` seeds ids."""
    quieten()
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # words of any script: the reader's fonts are what an SVG needs
        warnings.filterwarnings("ignore", message="Glyph")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_SETTINGS, "svg.hashsalt": name, **more})
        yield
