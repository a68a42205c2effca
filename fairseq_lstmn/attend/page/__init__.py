"""attention.html: everything in one file that asks nothing of the network."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from fairseq_lstmn.attend.reading import DEEP, LINKS, FloatArray, Map, Reading
from fairseq_lstmn.attend.record import Drawn, dumps, line_as_json
from fairseq_lstmn.attend.visible import visible, visible_texts


class Page(Drawn):
    """One page; ``about`` says whose readings they are."""

    def __init__(self, folder: Path, about: Mapping[str, str], limit: int) -> None:
        super().__init__(folder, limit)
        self.about = about
        self.data: list[str] = []  # a line's, as JSON

    def draw(self, reading: Reading) -> None:
        self.data.append(dumps(line_on_page(reading)))

    def close(self) -> None:
        environment = Environment(
            loader=PackageLoader(__name__, ""),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        lines = ",\n".join(self.data)
        data = f'{{"links": {LINKS}, "deep": {DEEP}, "lines": [\n{lines}\n]}}'
        text = environment.get_template("page.html.jinja").render(
            about=self.about,
            left_out=self.left_out,
            data=Markup(data.replace("<", "\\u003c")),  # no word ends the script
        )
        path = self.folder / "attention.html"
        path.write_text(text, encoding="utf-8", newline="\n")


def line_on_page(reading: Reading) -> dict[str, object]:
    """The reading as attention.json has it, with the digits and characters that can be seen."""
    if reading.error is not None:
        return line_as_json(reading, map_on_page)
    shown = reading._replace(
        texts=visible_texts(reading.texts),
        probabilities={visible(name): round(p, 4) for name, p in reading.probabilities.items()},
        values={name: float(f"{value:.6g}") for name, value in reading.values.items()},
    )
    return {**line_as_json(shown, map_on_page, digits=2), "opening": reading.opening}


def map_on_page(attention: Map) -> dict[str, object]:
    """A map with its weights as bytes, those of the rows where a token may look only."""
    packed = b"".join(row.tobytes() for row in attention.rows(as_bytes(attention.weights)))
    return {
        "title": attention.title,
        "direction": attention.direction,
        "queries": attention.queries,
        "keys": attention.keys,
        "top": attention.top,
        "bytes": b64encode(packed).decode(),
    }


def as_bytes(weights: FloatArray) -> NDArray[np.uint8]:
    """Weights, 0 to 1, as 0 to 255: by their roots, so that small ones are told apart."""
    roots: NDArray[np.uint8] = np.rint(255 * np.sqrt(weights)).clip(0, 255).astype(np.uint8)
    return roots
