"""What all outputs have in common; and attention.json: everything, a line of it a line."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fairseq_lstmn.attend.reading import Map, Reading

_DIGITS = 9  # behind the point: rows sum to one as nearly as float32 lets them


class Output:
    """Files made of readings: ``add`` that of every line, then ``close``."""

    left_out: str | None = None  # one line on what is not shown

    def add(self, reading: Reading) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Write what is not written yet."""


class Drawn(Output):
    """Pictures of the first ``limit`` readings, of which ``draw`` makes one."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit, self.lines = folder, limit, 0

    def add(self, reading: Reading) -> None:
        self.lines += 1
        if self.lines <= self.limit:
            self.draw(reading)
        else:
            self.left_out = (
                f"The first {self.limit:,} of {self.lines:,} lines are drawn (--limit {self.limit})"
            )

    def draw(self, reading: Reading) -> None:
        raise NotImplementedError


class Record(Output):
    """An object of what ``about`` says, and under ``lines`` an object for every reading.

    ``rows`` of a map are lists over the tokens where a token may look: in forward direction
    those before it (the first token's row is empty), backward those behind it, across all.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self.file = open(folder / "attention.json", "w", encoding="utf-8", newline="\n")
        self.file.write(dumps(about)[:-1] + ', "lines": [')
        self.separator = "\n"

    def add(self, reading: Reading) -> None:
        self.file.write(self.separator + dumps(line_as_json(reading, map_as_json)))
        self.separator = ",\n"

    def close(self) -> None:
        self.file.write("\n]}\n")
        self.file.close()


def line_as_json(
    reading: Reading, map_as_json: Callable[[Map], dict[str, object]], digits: int = 4
) -> dict[str, object]:
    """The reading with ``digits`` of surprisals; what it lacks is left out."""
    if reading.error is not None:
        return {"line": reading.line, "error": reading.error}
    fields = {
        "line": reading.line,
        "texts": reading.texts,
        "unknown": reading.unknown,
        "surprisals": {name: rounded(bits, digits) for name, bits in reading.surprisals.items()},
        "probabilities": reading.probabilities,
        "values": reading.values,
        "alignment": reading.alignment,
    }
    there = {name: value for name, value in fields.items() if value}
    return {**there, "maps": [map_as_json(attention) for attention in reading.maps]}


def map_as_json(attention: Map) -> dict[str, object]:
    """With all weights, and the weight where the shades of its pictures end."""
    return {
        "part": attention.part,
        "layer": attention.layer,
        "direction": attention.direction,
        "asks": attention.queries,
        "reads": attention.keys,
        "top": attention.top,
        "rows": attention.rows(attention.weights.astype("float64").round(_DIGITS).tolist()),
    }


def rounded(bits: Iterable[float | None], digits: int) -> list[float | None]:
    return [value if value is None else round(value, digits) for value in bits]


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
