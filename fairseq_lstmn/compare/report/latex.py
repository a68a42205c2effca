"""table.tex: the main numbers as a table for a paper (booktabs)."""

from collections.abc import Iterable, Iterator

from fairseq_lstmn.compare.report.numbers import MINUS, MISSING, number, signed
from fairseq_lstmn.compare.report.record import MetricEntry, ModelEntry, Results, ScoreEntry

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    MINUS: "$-$",
    MISSING: "--",
}
_MARKS = {"better": r"$^{+}$", "worse": r"$^{-}$", "inconclusive": ""}


def table(results: Results) -> str:
    """The text of the file, to be \\input within a table environment."""
    metrics = results["metrics"]
    header = ["Model", r"Parameters (M)", *(name for m in metrics for name in headings(m))]
    lines = [
        *map(comment, explanation(results)),
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        row(header),
        r"\midrule",
        *(row(cells(model, metrics)) for model in results["models"]),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def explanation(results: Results) -> Iterator[str]:
    """For the caption: what the numbers are and how the marks were made."""
    seeds = ", ".join(map(str, results["seeds"]))
    yield from (f"ERROR: {error}" for error in results["errors"])
    yield from (f"WARNING: {warning}" for warning in results["warnings"])
    yield f"{results['title']} (\\usepackage{{booktabs}})"
    yield f"Mean and standard deviation over the seeds {seeds}; difference from"
    yield f"{results['baseline']} with its 95% interval by bootstrap over seeds and test items"
    yield "together (over items alone where either model has one seed), widened by Student's t and"
    yield "not corrected for the number of models, so that it may exclude 0 without a mark."
    yield "+ better, - worse: at least two seeds of both, and p below 0.05 over seeds and test"
    yield "items together and over the items alone, each corrected by Holm's method for the number"
    yield "of models, not of metrics; no mark: inconclusive."


def comment(text: str) -> str:
    return f"% {' '.join(text.split())}"


def headings(metric: MetricEntry) -> list[str]:
    """Of a metric's two columns."""
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    return [escaped(metric["name"] + unit), "Difference"]


def escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in " ".join(text.split()))


def row(columns: Iterable[str]) -> str:
    return " & ".join(columns) + r" \\"


def cells(model: ModelEntry, metrics: list[MetricEntry]) -> list[str]:
    parameters = (model["parameters"] or {}).get("all")
    millions = number(None if parameters is None else parameters / 1e6)
    scores = [model["scores"].get(metric["name"]) for metric in metrics]
    found = [text for score in scores for text in (mean(score), difference(score))]
    return [escaped(model["name"]), escaped(millions), *found]


def mean(score: ScoreEntry | None) -> str:
    if not score:
        return escaped(MISSING)
    text = escaped(number(score["mean"]))
    spread = score["deviation_seeds"]
    return text if spread is None else rf"{text} $\pm$ {number(spread, score['mean'])}"


def difference(score: ScoreEntry | None) -> str:
    """With its interval, and the verdict as a mark."""
    if not score or not (found := score["difference"]) or found["value"] is None:
        return escaped(MISSING)
    value = signed(found["value"], score["mean"])
    low, high = (number(found[key], score["mean"]) for key in ("low", "high"))
    return escaped(f"{value} [{low}, {high}]") + _MARKS[found["verdict"]]
