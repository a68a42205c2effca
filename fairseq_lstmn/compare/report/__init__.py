"""What a comparison found, for people: a page, Markdown, a table for a paper and its curves.

Everything is made from the ``results`` alone. ``numbers`` says how a number looks, ``sentences``
and ``tables`` what is said, whatever the format; ``page``, ``markdown`` and ``latex`` are the
formats; ``curves`` and ``bars`` draw, in the looks of ``series``, and ``svg`` makes drawings text.
"""

import json
import math
from pathlib import Path
from typing import Any

from fairseq_lstmn.compare.report import curves, latex, markdown, page
from fairseq_lstmn.compare.report.files import replace
from fairseq_lstmn.compare.report.record import Results
from fairseq_lstmn.compare.report.sentences import verdicts


def write(results: Results, dest: Path) -> None:
    """Write results.json, report.md, table.tex, curves.svg and report.html into ``dest``.

    ``results`` are dicts, lists, strings and numbers; ``dest`` is a folder (a Path) that exists.
    Each file is whole at every moment, the old one or the new one.
    """
    results = finite(results)
    replace(dest / "results.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    replace(dest / "report.md", markdown.report(results))
    replace(dest / "table.tex", latex.table(results))
    replace(dest / "curves.svg", curves.for_paper(results))
    replace(dest / "report.html", page.report(results))


def summary(results: Results) -> str:
    """What a terminal shows: what went wrong, and a sentence for every model."""
    errors = [f"error: {error}" for error in results["errors"]]
    warnings = [f"warning: {warning}" for warning in results["warnings"]]
    return "\n".join([*errors, *warnings, *verdicts(results)])


def finite(value: Any) -> Any:
    """``value`` with None for infinities and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
