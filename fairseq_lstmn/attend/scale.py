"""How weights become shades, and which of them are drawn as links; the page's script does so too.

T tokens that attend, S tokens that are attended.
"""

from typing import NamedTuple

import numpy as np

from fairseq_lstmn.attend.reading import Map

LINKS = 3  # of a token that are drawn at most


class Scale:
    """Of one ``Map``: where a typical row's strongest link stands at half of the shades."""

    def __init__(self, found: Map) -> None:
        peaks = [row.max() for row in found.rows() if len(row)]
        middle = np.median(peaks) if peaks else 1
        self.top = min(1.0, max(0.02, round(2 * float(middle), 2)))

    def shade(self, weight: float) -> float:
        """0 to 1."""
        return min(1.0, float(weight) / self.top)


class Link(NamedTuple):
    """From one token to another that it attends."""

    t: int
    s: int
    weight: float
    strongest: bool  # of its row


def links(found: Map) -> list[Link]:
    """Each token's strongest links.

    The weakest come first, so that the strongest are drawn over them.
    """
    drawn = []
    for t, weights in enumerate(found.weights):
        for rank, s in enumerate(weights.argsort()[::-1][:LINKS].tolist()):
            if weights[s] > 0:
                drawn.append(Link(t, s, float(weights[s]), rank == 0))
    return sorted(drawn, key=lambda link: link.weight)
