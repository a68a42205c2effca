"""Files made of readings.

Each output has ``add(reading)`` for every line, ``close()``, and then in ``left_out`` one line
about what it does not show, or None.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fairseq_lstmn.attend.outputs.figures import Figures
from fairseq_lstmn.attend.outputs.json_file import JsonFile
from fairseq_lstmn.attend.outputs.page import Page
from fairseq_lstmn.attend.outputs.summary import Summary
from fairseq_lstmn.attend.reading import Reading

if TYPE_CHECKING:  # readings are written without torch
    from fairseq_lstmn.inference.checkpoint import Trained


class Output(Protocol):
    """What all outputs have."""

    @property
    def left_out(self) -> str | None:
        """What is not shown, in one line."""

    def add(self, reading: Reading) -> None:
        """Take in a line's reading."""

    def close(self) -> None:
        """Write what is not written yet."""


def outputs(
    folder: Path, trained: Trained, formats: set[str], summary: bool = False, limit: int = 50
) -> list[Output]:
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
    made: list[Output] = []
    if "json" in formats:
        made.append(JsonFile(folder, about))
    if "html" in formats:
        made.append(Page(folder, about, limit))
    if drawn := formats & {"png", "svg"}:
        made.append(Figures(folder, drawn, limit))
    return made
