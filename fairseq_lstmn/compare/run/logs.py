"""What fairseq-train logs with ``--log-format json``, as numbers."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

SAVED = re.compile(r"Saved checkpoint .* @ (\d+) updates, score (?!None)")


def text(path: Path) -> str:
    """What stands in a log so far; nothing if there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def is_finished(log: str) -> bool:
    """Whether a training says that it has come to its end."""
    return "| done training in " in log


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


@dataclass
class Training:
    """A training as far as its log goes. After a restart the later entry of an update counts.

    Lines are given to ``add`` in their order.

    Attributes:
        subset: the part of the data it is validated on.
        updates: so far.
        progress: epochs so far, with a fraction.
        curve: {update: {metric: value}} on the validation set.
        epochs: {epoch: numbers}, of those that have ended.
        words_per_second: so far, the latest entry.
        saved: the updates at which a checkpoint was written after a validation.
        seconds: of training, over all restarts.
        gpu_memory: the most that was taken, in bytes; None on a CPU.
    """

    subset: str = "valid"
    updates: int = 0
    progress: float = 0.0
    curve: dict[int, dict[str, float]] = field(default_factory=dict)
    epochs: dict[int, dict[str, float]] = field(default_factory=dict)
    words_per_second: float | None = None
    saved: set[int] = field(default_factory=set)
    seconds: float = 0.0
    gpu_memory: int | None = None
    _wall: float = 0.0
    _device_memory: float | None = None

    def add(self, line: str) -> None:
        """Take in a line of the log; one that is no entry, or was cut off, changes nothing."""
        kind, bar, entry = line.partition(" | {")
        kind = kind.rpartition(" | ")[2]
        if not bar or kind not in ("train", "train_inner", self.subset):
            self._note_save(line)
            self._note_device(line)
            return
        try:
            values = json.loads("{" + entry)
        except ValueError:
            return
        numbers = {n: number for n in values if (number := _number(values[n])) is not None}
        self._note_memory(numbers)
        if kind == self.subset:
            start = f"{self.subset}_"
            found = {n[len(start) :]: numbers[n] for n in numbers if n.startswith(start)}
            self.curve[int(found["num_updates"])] = found
        elif kind == "train":
            self.updates, self.progress = int(numbers["train_num_updates"]), numbers["epoch"]
            self.epochs[int(numbers["epoch"])] = numbers
            self._note_time(numbers.get("train_wall"))
        else:
            self.updates, self.progress = int(numbers["num_updates"]), numbers["update"]
            self.words_per_second = numbers.get("wps")

    def _note_save(self, line: str) -> None:
        found = SAVED.search(line)
        if found:
            self.saved.add(int(found[1]))

    def _note_time(self, wall: float | None) -> None:
        if wall is not None:
            # fairseq counts anew after a restart
            self.seconds += wall - (self._wall if wall >= self._wall else 0)
            self._wall = wall

    def _note_device(self, line: str) -> None:
        found = re.search(r"\| rank +0: .*total memory = ([\d.]+) GB", line)
        if found:
            self._device_memory = float(found[1])

    def _note_memory(self, numbers: Mapping[str, float]) -> None:
        free = numbers.get("gb_free", numbers.get("train_gb_free"))
        if free is not None and self._device_memory is not None:
            used = int((self._device_memory - free) * 2**30)
            self.gpu_memory = max(used, self.gpu_memory or 0)

    @property
    def speed(self) -> float | None:
        """Target words a second, the median of the epochs."""
        speeds = [epoch["train_wps"] for epoch in self.epochs.values() if "train_wps" in epoch]
        return median(speeds) if speeds else self.words_per_second

    @property
    def words_per_update(self) -> float | None:
        """Target words an update, every epoch by its number of updates."""
        total, before = 0.0, 0.0
        for _, epoch in sorted(self.epochs.items()):
            total += epoch["train_wpb"] * (epoch["train_num_updates"] - before)
            before = epoch["train_num_updates"]
        return total / before if before else None

    def best(self, metric: str, maximize: bool) -> tuple[int, float] | None:
        """(update, value) of the best validation that was saved; None if there was none."""
        values = {
            update: found[metric]
            for update, found in self.curve.items()
            if metric in found and (update in self.saved or not self.saved)
        }
        if not values:
            return None
        # of equal values fairseq keeps the latest
        sign = 1 if maximize else -1
        return max(values.items(), key=lambda entry: (sign * entry[1], entry[0]))


def training(log: str, subset: str = "valid") -> Training:
    """The Training that a log tells of."""
    found = Training(subset)
    for line in log.split("\n"):
        found.add(line)
    return found


class Follower:
    """Reads the log of a training while it grows."""

    def __init__(self, path: Path, subset: str = "valid") -> None:
        self._path, self._offset, self._rest = path, 0, ""
        self.training = Training(subset)

    def read(self) -> Training:
        """The Training, with what has been written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return self.training
        self._offset += len(new)
        *lines, self._rest = (self._rest + new.decode("utf-8", "replace")).split("\n")
        for line in lines:
            self.training.add(line)
        return self.training
