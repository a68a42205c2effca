"""What came out of a comparison, for people: a page, Markdown, a table for a paper and its curves.

All of it is made of ``results``, whose shape is ``schema``: ``words`` says numbers and verdicts,
``tables`` and ``charts`` show them, ``formats`` has the page, the Markdown and the LaTeX.
"""

import json
import math
from pathlib import Path
from typing import Any

from fairseq_lstmn.compare.files import replace
from fairseq_lstmn.compare.report import charts, formats
from fairseq_lstmn.compare.report.schema import Results
from fairseq_lstmn.compare.report.words import verdicts


def write(results: Results, dest: Path) -> None:
    """Write results.json, report.md, table.tex, curves.svg and report.html into ``dest``.

    ``results`` are dicts, lists, strings and numbers; ``dest`` is a folder (a Path) that exists.
    Each file is whole at every moment, the old one or the new one.
    """
    results = finite(results)
    replace(dest / "results.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    replace(dest / "report.md", formats.markdown(results))
    replace(dest / "table.tex", formats.latex(results))
    replace(dest / "curves.svg", charts.curves(results).svg)
    replace(dest / "report.html", formats.html(results))


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
