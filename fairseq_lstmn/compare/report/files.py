"""Files that nobody sees half written."""

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Put ``text`` (UTF-8) where ``path`` is, in one step."""
    beside = path.with_name(f".{path.name}.new")
    try:
        with open(beside, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
