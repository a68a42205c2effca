"""What fairseq-train logs with ``--log-format json``, as numbers."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

SAVED = re.compile(r"Saved checkpoint .* @ (\d+) updates, score (?!None)")
DEVICE = re.compile(r"\| rank +0: .*total memory = ([\d.]+) GB")


def finite(value: Any) -> float | None:
    """The number that a logged value is, if it is one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


class TrainingLog:
    """The log of a training, as far as it goes.

    After a restart the later entry of an update counts.

    Args:
        subset: the part of the data that it is validated on, as fairseq logs it.

    Attributes:
        updates: so far.
        progress: epochs so far, with a fraction.
        curve: {update: {metric: value}} on the validation set.
        epochs: {epoch: numbers}, of those that have ended.
        words_per_second: so far, the latest entry.
        saved: the updates at which a checkpoint was written after a validation.
        seconds: of training, over all restarts.
        gpu_memory: the most that was taken, in bytes; None on a CPU.
        finished: whether it says that it has come to its end.
    """

    def __init__(self, path: Path, subset: str = "valid") -> None:
        self._path, self._subset = path, subset
        self._offset, self._rest = 0, ""
        self.updates, self.progress = 0, 0.0
        self.curve: dict[int, dict[str, float]] = {}
        self.epochs: dict[int, dict[str, float]] = {}
        self.words_per_second: float | None = None
        self.saved: set[int] = set()
        self.seconds, self._wall = 0.0, 0.0
        self.gpu_memory: int | None = None
        self._device_memory: float | None = None
        self.finished = False

    def read(self) -> "TrainingLog":
        """Take in what has been written since the last call; the log itself."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return self
        self._offset += len(new)
        *lines, self._rest = (self._rest + new.decode("utf-8", "replace")).split("\n")
        for line in lines:
            self._add(line)
        return self

    def _add(self, line: str) -> None:
        """Take in a line; one that is no entry, or was cut off, changes nothing."""
        kind, bar, entry = line.partition(" | {")
        kind = kind.rpartition(" | ")[2]
        if not bar or kind not in ("train", "train_inner", self._subset):
            self._add_text(line)
            return
        try:
            values = json.loads("{" + entry)
        except ValueError:
            return
        numbers = {n: number for n in values if (number := finite(values[n])) is not None}
        self._add_memory(numbers)
        if kind == self._subset:
            start = f"{self._subset}_"
            metrics = {n[len(start) :]: numbers[n] for n in numbers if n.startswith(start)}
            self.curve[int(metrics["num_updates"])] = metrics
        elif kind == "train":
            self.updates, self.progress = int(numbers["train_num_updates"]), numbers["epoch"]
            self.epochs[int(numbers["epoch"])] = numbers
            self._add_time(numbers.get("train_wall"))
        else:
            self.updates, self.progress = int(numbers["num_updates"]), numbers["update"]
            self.words_per_second = numbers.get("wps")

    def _add_text(self, line: str) -> None:
        self.finished = self.finished or "| done training in " in line
        if saved := SAVED.search(line):
            self.saved.add(int(saved[1]))
        if device := DEVICE.search(line):
            self._device_memory = float(device[1])

    def _add_time(self, wall: float | None) -> None:
        if wall is not None:
            # fairseq counts anew after a restart
            self.seconds += wall - (self._wall if wall >= self._wall else 0)
            self._wall = wall

    def _add_memory(self, numbers: Mapping[str, float]) -> None:
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
            update: metrics[metric]
            for update, metrics in self.curve.items()
            if metric in metrics and (update in self.saved or not self.saved)
        }
        if not values:
            return None
        # of equal values fairseq keeps the latest
        sign = 1 if maximize else -1
        return max(values.items(), key=lambda entry: (sign * entry[1], entry[0]))
