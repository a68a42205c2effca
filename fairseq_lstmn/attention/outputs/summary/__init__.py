"""--summary: what a model attends on the whole, as summary.json and a picture."""

import json

from fairseq_lstmn.attention.outputs.figures.files import save
from fairseq_lstmn.attention.outputs.summary.distances import Distances
from fairseq_lstmn.attention.outputs.summary.picture import picture
from fairseq_lstmn.attention.outputs.summary.repeats import Repeats
from fairseq_lstmn.attention.outputs.summary.sources import Sources
from fairseq_lstmn.attention.reading import ACROSS


class Summary:
    """Counts all readings; ``formats`` are of json, png and svg, ``about`` says whose they are."""

    left_out = None  # nothing is

    def __init__(self, folder, about, formats):
        self.folder, self.about, self.formats = folder, about, formats
        self.read = self.failed = 0
        self.maps, self.repeats = {}, {}

    def add(self, reading):
        self.read += 1
        self.failed += reading.error is not None
        for found in reading.maps:
            made = Sources if found.direction == ACROSS else Distances
            self.maps.setdefault(found.title, made()).add(found)
            if is_of_language_model(reading):
                repeats = self.repeats.setdefault(found.title, Repeats())
                repeats.add(found, reading.texts["text"])

    def result(self):
        """As JSON has it."""
        return {
            **self.about,
            "lines": self.read - self.failed,
            "lines that could not be read": self.failed,
            "maps": [{"map": title, **sums.result()} for title, sums in self.maps.items()],
            "repeated words": [
                {"map": title, **found}
                for title, sums in self.repeats.items()
                for found in sums.result(self.maps[title].means())
            ],
        }

    def close(self):
        result = self.result()
        if "json" in self.formats:
            text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
            (self.folder / "summary.json").write_text(text, encoding="utf-8")
        if drawn := self.formats & {"png", "svg"}:
            save(lambda: picture(result), self.folder / "summary", drawn, "What is attended")


def is_of_language_model(reading):
    return "text" in reading.surprisals
