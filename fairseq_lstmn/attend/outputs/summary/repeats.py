"""Does a language model find a word's earlier occurrence?

At every step, weight on earlier tokens that have to do with a repeated word, against what their
distance alone would give them.
"""

from collections.abc import Callable, Iterator, Sequence

from fairseq_lstmn.attend.outputs.summary.distances import FARTHEST, Means, bin_of
from fairseq_lstmn.attend.outputs.summary.entries import RepeatEntry
from fairseq_lstmn.attend.reading import FloatArray, Map

KINDS: dict[str, Callable[[Sequence[str], int], list[int]]] = {
    "the word just read, where it occurred before": lambda words, t: occurrences(words, t, t),
    "what followed it there": lambda words, t: [
        s + 1 for s in occurrences(words, t, t) if s + 1 < t
    ],
    "the word to come, where it occurred before": lambda words, t: occurrences(words, t + 1, t),
}


class Repeats:
    """Sums over one layer's maps of a language model."""

    def __init__(self) -> None:
        self.cases = dict.fromkeys(KINDS, 0)
        self.weights = dict.fromkeys(KINDS, 0.0)
        # how many by bin of places and distance
        self.slots: dict[str, dict[tuple[int, int], int]] = {kind: {} for kind in KINDS}

    def add(self, found: Map, words: Sequence[str]) -> None:
        """Add a ``Map`` of a text of ``words``."""
        for t, row in enumerate(found.rows()):
            if len(row) < 2:
                continue
            for kind, chosen in KINDS.items():
                if slots := chosen(words, t):
                    self.count(kind, t, row, slots)

    def count(self, kind: str, t: int, row: FloatArray, slots: Sequence[int]) -> None:
        self.cases[kind] += 1
        self.weights[kind] += float(row[slots].sum())
        for s in slots:
            place = bin_of(len(row)), min(t - s, FARTHEST + 1)
            self.slots[kind][place] = self.slots[kind].get(place, 0) + 1

    def result(self, means: Means) -> Iterator[RepeatEntry]:
        """As JSON has it; ``means`` are the layer's ``Distances.means``."""
        for kind, cases in self.cases.items():
            expected = sum(means[place] * count for place, count in self.slots[kind].items())
            yield {
                "attends": kind,
                "steps": cases,
                "weight": round(self.weights[kind] / max(1, cases), 5),
                "weight by distance alone": round(float(expected) / max(1, cases), 5),
            }


def occurrences(words: Sequence[str], t: int, before: int) -> list[int]:
    """Where the word at t occurs among the first ``before``; nowhere for a t behind the end."""
    if t >= len(words):
        return []
    return [s for s in range(before) if words[s] == words[t]]
