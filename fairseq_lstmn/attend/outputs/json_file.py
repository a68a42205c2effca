"""attention.json: everything, with all digits, a line of the input on a line."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from fairseq_lstmn.attend.reading import Map, Reading

_DIGITS = 9  # behind the point: rows sum to one as nearly as float32 lets them


class JsonFile:
    """An object of what ``about`` says, and under ``lines`` an object for every reading.

    ``rows`` of a map are lists over the tokens where a token may look: in forward direction
    those before it (the first token's row is empty), backward those behind it, across all.
    """

    left_out: str | None = None  # nothing is

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self.file = open(folder / "attention.json", "w", encoding="utf-8", newline="\n")
        self.file.write(dumps(about)[:-1] + ', "lines": [')
        self.separator = "\n"

    def add(self, reading: Reading) -> None:
        self.file.write(self.separator + dumps(plain(reading)))
        self.separator = ",\n"

    def close(self) -> None:
        self.file.write("\n]}\n")
        self.file.close()


def plain(reading: Reading) -> dict[str, object]:
    """The reading as JSON has it; what it lacks is left out."""
    if reading.error is not None:
        return {"line": reading.line, "error": reading.error}
    found = {
        "line": reading.line,
        "texts": reading.texts,
        "unknown": reading.unknown,
        "surprisals": {name: rounded(bits) for name, bits in reading.surprisals.items()},
        "probabilities": reading.probabilities,
        "values": reading.values,
        "alignment": reading.alignment,
    }
    kept = {name: value for name, value in found.items() if value}
    return {**kept, "maps": [plain_map(found) for found in reading.maps]}


def plain_map(found: Map) -> dict[str, object]:
    rows = found.rows(found.weights.astype("float64").round(_DIGITS).tolist())
    fields = "part", "layer", "direction", "asks", "reads"
    return {**{name: getattr(found, name) for name in fields}, "rows": rows}


def rounded(bits: Iterable[float | None], digits: int = 4) -> list[float | None]:
    return [value if value is None else round(value, digits) for value in bits]


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
