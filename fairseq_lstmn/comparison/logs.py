"""What fairseq-train logs with ``--log-format json``, as numbers."""

import json
import math
import re
from dataclasses import dataclass, field
from statistics import median
from typing import Dict, Optional

KINDS = ("train", "train_inner", "valid")


def text(path):
    """What stands in a log so far; nothing if there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def is_finished(log):
    """Whether a training says that it has come to its end."""
    return "| done training in " in log


def _number(value):
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
        updates: so far.
        progress: epochs so far, with a fraction.
        curve: {update: {metric: value}} on the validation set.
        epochs: {epoch: numbers}, of those that have ended.
        words_per_second: so far, the latest entry.
        gpu_memory: the most that was taken, in bytes; None on a CPU.
    """

    updates: int = 0
    progress: float = 0.0
    curve: Dict[int, Dict[str, float]] = field(default_factory=dict)
    epochs: Dict[int, Dict[str, float]] = field(default_factory=dict)
    words_per_second: Optional[float] = None
    gpu_memory: Optional[int] = None
    _device_memory: Optional[float] = None

    def add(self, line):
        """Take in a line of the log; one that is no entry, or was cut off, changes nothing."""
        kind, bar, entry = line.partition(" | {")
        kind = kind.rpartition(" | ")[2]
        if not bar or kind not in KINDS:
            self._note_device(line)
            return
        try:
            numbers = {name: _number(value) for name, value in json.loads("{" + entry).items()}
        except ValueError:
            return
        self._note_memory(numbers)
        if kind == "valid":
            names = (name for name in numbers if name.startswith("valid_"))
            found = {n[len("valid_") :]: numbers[n] for n in names if numbers[n] is not None}
            self.curve[int(found["num_updates"])] = found
        elif kind == "train":
            self.updates, self.progress = int(numbers["train_num_updates"]), numbers["epoch"]
            self.epochs[int(numbers["epoch"])] = numbers
        else:
            self.updates, self.progress = int(numbers["num_updates"]), numbers["update"]
            self.words_per_second = numbers.get("wps")

    def _note_device(self, line):
        found = re.search(r"\| rank +0: .*total memory = ([\d.]+) GB", line)
        if found:
            self._device_memory = float(found[1])

    def _note_memory(self, numbers):
        free = numbers.get("gb_free", numbers.get("train_gb_free"))
        if free is not None and self._device_memory is not None:
            used = int((self._device_memory - free) * 2**30)
            self.gpu_memory = max(used, self.gpu_memory or 0)

    @property
    def speed(self):
        """Target words a second, the median of the epochs."""
        speeds = [epoch["train_wps"] for epoch in self.epochs.values() if "train_wps" in epoch]
        return median(speeds) if speeds else self.words_per_second

    @property
    def words_per_update(self):
        """Target words an update, every epoch by its number of updates."""
        total, before = 0.0, 0
        for _, epoch in sorted(self.epochs.items()):
            total += epoch["train_wpb"] * (epoch["train_num_updates"] - before)
            before = epoch["train_num_updates"]
        return total / before if before else None

    def best(self, metric, maximize):
        """(update, value) of the best validation; None if there was none."""
        values = {u: found[metric] for u, found in self.curve.items() if metric in found}
        if not values:
            return None
        # of equal values fairseq keeps the latest
        sign = 1 if maximize else -1
        return max(values.items(), key=lambda entry: (sign * entry[1], entry[0]))


def training(log):
    """The Training that a log tells of."""
    found = Training()
    for line in log.split("\n"):
        found.add(line)
    return found


class Follower:
    """Reads the log of a training while it grows."""

    def __init__(self, path):
        self._path, self._offset, self._rest = path, 0, ""
        self.training = Training()

    def read(self):
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
