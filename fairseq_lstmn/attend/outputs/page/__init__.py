"""attention.html: everything in one file that asks nothing of the network."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from fairseq_lstmn.attend.outputs.json_file import dumps, rounded
from fairseq_lstmn.attend.outputs.left_out import left_out
from fairseq_lstmn.attend.outputs.visible import visible, visible_texts
from fairseq_lstmn.attend.reading import FloatArray, Map, Reading

_SCRIPTS = "dom", "weights", "reading", "arcs", "matrix", "table", "beside", "words", "main"


class Page:
    """One page of the first ``limit`` readings; ``about`` says whose they are."""

    def __init__(self, folder: Path, about: Mapping[str, str], limit: int) -> None:
        self.path, self.about, self.limit = folder / "attention.html", about, limit
        self.lines: list[str] = []
        self.read = 0

    def add(self, reading: Reading) -> None:
        self.read += 1
        if self.read <= self.limit:
            self.lines.append(dumps(on_page(reading)))

    @property
    def left_out(self) -> str | None:
        return left_out(self.read, self.limit)

    def close(self) -> None:
        environment = Environment(
            loader=PackageLoader(__name__, ""),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        data = '{"lines": [\n' + ",\n".join(self.lines) + "\n]}"
        text = environment.get_template("page.html.jinja").render(
            about=self.about,
            left_out=self.left_out,
            data=Markup(data.replace("<", "\\u003c")),  # no word ends the script
            scripts=[f"{name}.js" for name in _SCRIPTS],
        )
        self.path.write_text(text, encoding="utf-8", newline="\n")


def on_page(reading: Reading) -> dict[str, object]:
    """The reading as the page's script reads it."""
    if reading.error is not None:
        return {"line": reading.line, "error": reading.error}
    found = {
        "line": reading.line,
        "texts": visible_texts(reading.texts),
        "unknown": {name: found for name, found in reading.unknown.items() if found},
        "surprisals": {name: rounded(bits, 2) for name, bits in reading.surprisals.items()},
        "probabilities": {visible(name): round(p, 4) for name, p in reading.probabilities.items()},
        "values": {name: f"{value:.6g}" for name, value in reading.values.items()},
        "alignment": reading.alignment,
        "opening": reading.opening,
        "maps": [map_on_page(found) for found in reading.maps],
    }
    return {name: value for name, value in found.items() if value}


def map_on_page(found: Map) -> dict[str, str]:
    """A map with its weights as bytes, those of the rows where a token may look only."""
    packed = b"".join(row.tobytes() for row in found.rows(as_bytes(found.weights)))
    return {
        "title": found.title,
        "direction": found.direction,
        "asks": found.asks,
        "reads": found.reads,
        "bytes": b64encode(packed).decode(),
    }


def as_bytes(weights: FloatArray) -> NDArray[np.uint8]:
    """Weights, 0 to 1, as 0 to 255: by their roots, so that small ones are told apart."""
    found: NDArray[np.uint8] = np.rint(255 * np.sqrt(weights)).clip(0, 255).astype(np.uint8)
    return found
