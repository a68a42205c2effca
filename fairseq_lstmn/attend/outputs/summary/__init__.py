"""--summary: what a model attends on the whole, as summary.json and a picture."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from fairseq_lstmn.attend.outputs.figures.files import save
from fairseq_lstmn.attend.outputs.summary.distances import Distances, Means
from fairseq_lstmn.attend.outputs.summary.entries import MapEntry, RepeatEntry
from fairseq_lstmn.attend.outputs.summary.picture import picture
from fairseq_lstmn.attend.outputs.summary.repeats import Repeats
from fairseq_lstmn.attend.outputs.summary.sources import Sources
from fairseq_lstmn.attend.reading import ACROSS, Reading


class Summary:
    """Counts the telling maps of all readings.

    ``formats`` are of json, png and svg, ``about`` says whose they are.
    """

    left_out: str | None = None  # nothing is

    def __init__(self, folder: Path, about: Mapping[str, str], formats: set[str]) -> None:
        self.folder, self.about, self.formats = folder, about, formats
        self.read = self.failed = 0
        self.maps: dict[str, Sources | Distances] = {}
        self.repeats: dict[str, Repeats] = {}

    def add(self, reading: Reading) -> None:
        self.read += 1
        self.failed += reading.error is not None
        for found in reading.telling_maps:
            made = Sources if found.direction == ACROSS else Distances
            self.maps.setdefault(found.title, made()).add(found)
            if is_of_language_model(reading):
                repeats = self.repeats.setdefault(found.title, Repeats())
                repeats.add(found, reading.texts["text"])

    def result(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            **self.about,
            "lines": self.read - self.failed,
            "lines that could not be read": self.failed,
            "maps": self.map_entries(),
            "repeated words": self.repeat_entries(),
        }

    def map_entries(self) -> list[MapEntry]:
        return [{"map": title, **sums.result()} for title, sums in self.maps.items()]

    def repeat_entries(self) -> list[RepeatEntry]:
        return [
            {"map": title, **found}
            for title, sums in self.repeats.items()
            for found in sums.result(self.means(title))
        ]

    def means(self, title: str) -> Means:
        """Those of the ``Distances`` of a language model's map."""
        sums = self.maps[title]
        assert isinstance(sums, Distances)  # it has one text
        return sums.means()

    def close(self) -> None:
        if "json" in self.formats:
            text = json.dumps(self.result(), indent=1, ensure_ascii=False) + "\n"
            (self.folder / "summary.json").write_text(text, encoding="utf-8")
        if drawn := self.formats & {"png", "svg"}:
            made = partial(picture, self.map_entries(), self.repeat_entries())
            save(made, self.folder / "summary", drawn, "What is attended")


def is_of_language_model(reading: Reading) -> bool:
    return "text" in reading.surprisals
