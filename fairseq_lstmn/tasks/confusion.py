"""Which class is taken for which: counted batch by batch, reported for every class.

B batch, C classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from fairseq.logging import metrics
from fairseq.logging.meters import MetersDict
from torch import Tensor


def count_confusions(scores: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, Tensor]:
    """Log entries with how often each class was taken for each, from scores (B, C) and targets."""
    cells = targets.view(-1) * len(classes) + scores.argmax(dim=1)
    counts = torch.bincount(cells, minlength=len(classes) ** 2)
    return dict(zip(cell_names(classes), counts))


def cell_names(classes: Sequence[str]) -> list[str]:
    """Names that fairseq keeps out of its log lines, row by row."""
    return [f"_{right} as {taken}" for right in classes for taken in classes]


def log_per_class(logging_outputs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> None:
    """Log the counts, and what follows from their sums, in percent."""
    if not any(cell_names(classes)[0] in log for log in logging_outputs):
        return
    for name in cell_names(classes):
        metrics.log_scalar_sum(name, sum(int(log.get(name, 0)) for log in logging_outputs))
    for number, name in enumerate(classes):
        metrics.log_derived(f"precision {name}", share(classes, number, axis=0))
        metrics.log_derived(f"recall {name}", share(classes, number, axis=1))
        metrics.log_derived(f"F1 {name}", f1(classes, number))
        metrics.log_derived(f"{name} taken for", row(classes, number))


def matrix(meters: MetersDict, classes: Sequence[str]) -> Tensor:
    """The counts (C, C) so far, right class by class taken."""
    counts = [int(meters[name].sum) for name in cell_names(classes)]
    return torch.tensor(counts).view(len(classes), -1)


def share(classes: Sequence[str], number: int, axis: int) -> Callable[[MetersDict], float]:
    """How many of the answers (axis 0) or of the examples (axis 1) of a class are right."""

    def value(meters: MetersDict) -> float:
        counts = matrix(meters, classes)
        total = int(counts.sum(dim=axis)[number])
        return round(100 * int(counts[number, number]) / total, 1) if total else 0.0

    return value


def f1(classes: Sequence[str], number: int) -> Callable[[MetersDict], float]:
    """The harmonic mean of precision and recall of a class."""

    def value(meters: MetersDict) -> float:
        counts = matrix(meters, classes)
        total = int(counts[number].sum() + counts[:, number].sum())
        return round(200 * int(counts[number, number]) / total, 1) if total else 0.0

    return value


# of the type that fairseq asks for, though it prints a text as it does a number
def row(classes: Sequence[str], number: int) -> Callable[[MetersDict], Any]:
    """One row of the confusion matrix, as text."""

    def value(meters: MetersDict) -> str:
        counts = matrix(meters, classes)[number].tolist()
        return ", ".join(f"{name} {count}" for name, count in zip(classes, counts))

    return value
