"""Drawings as files that carry no date, the words of an SVG as words."""

import logging
import warnings

_SETTINGS = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "fairseq-lstmn attention",
    "text.parse_math": False,  # a word may hold dollars
}
_DOTS = 200  # per inch, of a PNG
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def quieten():
    """Before Matplotlib is used: fairseq's import has every logger tell everything."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


def save(made, path, formats, title):
    """Write the Figure that ``made()`` makes to ``path`` (without ending), as png and svg."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # words of any script: the reader's fonts are what an SVG needs
        warnings.filterwarnings("ignore", message="Glyph")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = made()
        for ending in sorted(formats):
            metadata = {**_NO_METADATA, "Title": title} if ending == "svg" else {"Title": title}
            figure.savefig(f"{path}.{ending}", dpi=_DOTS, metadata=metadata)


def figure_of(drawing):
    """The Figure of a ``Drawing``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(drawing.width / 72, drawing.height / 72), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    drawing.draw(axes)
    return figure
