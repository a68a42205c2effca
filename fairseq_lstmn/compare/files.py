"""Files that are whole at every moment, the old one or the new one."""

import os
from pathlib import Path


def replace(path: Path, content: str) -> None:
    """Put ``content`` (UTF-8) where ``path`` is, in one step: nobody sees it half written."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(content, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
