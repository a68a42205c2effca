"""Drawings as PNG and SVG files that carry no date."""

from fairseq_lstmn.drawings import NO_METADATA, settings

_DOTS = 200  # per inch, of a PNG


def save(made, path, formats, title):
    """Write the Figure that ``made()`` makes to ``path`` (without ending), as png and svg."""
    with settings("fairseq-lstmn attention"):
        figure = made()
        for ending in sorted(formats):
            metadata = {**NO_METADATA, "Title": title} if ending == "svg" else {"Title": title}
            figure.savefig(f"{path}.{ending}", dpi=_DOTS, metadata=metadata)


def figure_of(drawing):
    """The Figure of a ``Drawing``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(drawing.width / 72, drawing.height / 72), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, drawing.width), ylim=(drawing.height, 0))
    axes.set_axis_off()
    drawing.draw(axes)
    return figure
