"""Files made of readings.

Each output has ``add(reading)`` for every line, ``close()``, and then in ``left_out`` one line
about what it does not show, or None.
"""

from fairseq_lstmn.attention.outputs.figures import Figures
from fairseq_lstmn.attention.outputs.json_file import JsonFile
from fairseq_lstmn.attention.outputs.page import Page
from fairseq_lstmn.attention.outputs.summary import Summary


def outputs(folder, trained, formats, summary=False, limit=50):
    """The outputs that make the files of ``formats`` in ``folder`` (a Path).

    Args:
        trained: the ``Trained`` model that reads.
        formats: of html, json, png and svg; of a summary not html.
        summary: what is attended on the whole, instead of line by line.
        limit: lines that are drawn at most.
    """
    about = {
        "made by": "fairseq-lstmn attention",
        "checkpoint": str(trained.path),
        "model": type(trained.model).__name__,
    }
    if summary:
        return [Summary(folder, about, formats)]
    made = []
    if "json" in formats:
        made.append(JsonFile(folder, about))
    if "html" in formats:
        made.append(Page(folder, about, limit))
    if drawn := formats & {"png", "svg"}:
        made.append(Figures(folder, drawn, limit))
    return made
