"""How the models are told apart in charts: by colour, by line and by mark.

The colours keep three times the luminance of their background, light or dark, and stay apart for
eyes without one of the three cones; the first eight models have colours of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fairseq_lstmn.compare.report.record import Results

Dash: TypeAlias = Literal["-", "--", "-.", ":"]

LIGHT = (
    *("#0b4591", "#982400", "#169855", "#702a53"),
    *("#0a0a0a", "#ab8c00", "#8179ff", "#eb63a6"),
)
DARK = (
    *("#5a68f0", "#d75617", "#30d36f", "#ad2c97"),
    *("#ffffff", "#dacc00", "#b5aeff", "#de8ba6"),
)
_DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":")
_MARKERS = "osD^vPX*"


@dataclass(frozen=True)
class Look:
    """The look of one model, in Matplotlib's terms."""

    colour: str
    dash: Dash
    marker: str


def looks(results: Results, colours: Sequence[str]) -> dict[str, Look]:
    """The look of every model, by its name; ``colours`` is one for each of the first eight."""
    names = [model["name"] for model in results["models"]]
    return {
        name: Look(
            colours[at % len(colours)], _DASHES[at % len(_DASHES)], _MARKERS[at % len(_MARKERS)]
        )
        for at, name in enumerate(names)
    }
