"""What a run left behind against what another did."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from runs import Update, read_updates

TIMES = "metrics", "previous_training_time"  # of a checkpoint's extra_state, never the same


def compare(folder: Path, reference: Path) -> tuple[float, list[str]]:
    """The largest difference of a number in two runs, and one line for each fault."""
    complaints = [*compare_files(folder, reference), *compare_examples(folder, reference)]
    largest = 0.0
    saved = (f"checkpoints/{path.name}" for path in (reference / "checkpoints").iterdir())
    for name in filter(lambda name: (folder / name).exists(), ["random.pt", *saved]):
        one, other = load(folder / name), load(reference / name)
        for key in one.keys() | other.keys():
            try:
                found = difference(one.get(key), other.get(key))
            except ValueError as error:
                found = math.inf
                complaints.append(f"{name}, {key}: {error}")
            if 0 < found < math.inf:
                complaints.append(f"{name}, {key}: numbers differ by {found:g}")
            largest = max(largest, found)
    return largest, complaints


def load(path: Path) -> dict[str, Any]:
    """What is in a file, without what two like runs may differ in."""
    state: dict[str, Any] = torch.load(path)
    if "extra_state" in state:
        for key in TIMES:
            state["extra_state"].pop(key, None)
        del state["cfg"]  # the name of its folder is in it
        del state["optimizer_history"][:-1]  # one entry for each resumption
    return state


def difference(one: object, other: object) -> float:
    """The largest difference of two values' numbers; raises ValueError for unlike values."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            raise ValueError(f"{tuple(one.shape)} {one.dtype}, not {tuple(other.shape)}")
        return (one.double() - other.double()).abs().max().item() if one.numel() else 0.0
    if type(one) is not type(other):
        raise ValueError(f"{type(one).__name__}, not {type(other).__name__}")
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            raise ValueError(f"{sorted(map(str, one))}, not {sorted(map(str, other))}")
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            raise ValueError(f"{len(one)} values, not {len(other)}")
        return max(map(difference, one, other), default=0.0)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    if one != other:
        raise ValueError(f"{one!r}, not {other!r}")
    return 0.0


def compare_files(folder: Path, reference: Path) -> Iterator[str]:
    names, expected = (
        {path.name for path in (run / "checkpoints").iterdir()} for run in (folder, reference)
    )
    for name in sorted(expected - names):
        yield f"{name} is missing"
    for name in sorted(names - expected):
        yield f"{name} is left over"


def compare_examples(folder: Path, reference: Path) -> Iterator[str]:
    """Every update has the examples it should have, and an epoch each example once."""
    expected = {entry["number"]: entry for entry in read_updates(reference)}
    seen: dict[int, Update] = {}
    for entry in read_updates(folder):  # a killed run does its last updates again
        seen[entry["number"]] = entry
        if entry != expected.get(entry["number"]):
            yield f"update {entry['number']} had other examples"
    if seen.keys() != expected.keys():
        yield f"{len(seen)} updates of {len(expected)}"
    for epoch in {entry["epoch"] for entry in seen.values()}:
        ids = [n for entry in seen.values() if entry["epoch"] == epoch for n in entry["ids"]]
        if sorted(ids) != list(range(len(ids))):
            yield f"epoch {epoch} left examples out or saw some twice"
