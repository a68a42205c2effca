"""How a text was normalised before training: recorded beside the data, done again to new text."""

import json
from pathlib import Path
from typing import NamedTuple

from fairseq_lstmn.errors import InputError

FILE = "normalisation.json"
SPACES = "single"


class Normalisation(NamedTuple):
    """What is done to a sentence: its letters' case, and one space between words."""

    lower_case: bool

    def __call__(self, sentence: str) -> str:
        """The sentence as a model is to read it; the number of its words stays."""
        return " ".join((sentence.lower() if self.lower_case else sentence).split())

    def write(self, folder: Path) -> None:
        """Record it in ``folder`` (a Path) of prepared data."""
        record = {"case": "lower" if self.lower_case else "kept", "spaces": SPACES}
        (folder / FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def recorded(data: str | None) -> Normalisation | None:
    """The Normalisation that stands in the folder ``data``, of fairseq's option, or None.

    Raises InputError for a record that cannot be read.
    """
    from fairseq import utils  # here: `prepare` needs no fairseq to say what it does

    path = data and Path(utils.split_paths(data)[0], FILE)
    if not path or not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        case, spaces = record["case"], record["spaces"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if case not in ("lower", "kept") or spaces != SPACES:
        raise InputError(f"{path}: case {case!r:.20} and spaces {spaces!r:.20} are not known")
    return Normalisation(case == "lower")
