"""The formats of a report: a page of HTML, the same tables in Markdown, the main ones in LaTeX."""

import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined
from tabulate import tabulate

from fairseq_lstmn.compare.report import charts, tables
from fairseq_lstmn.compare.report.schema import CommandEntry, ModelEntry, Results, ScoreEntry
from fairseq_lstmn.compare.report.tables import Table
from fairseq_lstmn.compare.report.words import MINUS, MISSING, number, signed, verdicts

# an underscore within a word is none of Markdown's
_SPECIAL = re.compile(r"[\\`*\[\]<>|#&~]|(?<![^\W_])_|_(?![^\W_])")
# tabulate escapes what is LaTeX's own; these it leaves as they are
_SYMBOLS = str.maketrans(
    {"[": "{[}", "*": "{*}"}  # behind a \\ they would be its arguments
    | {"|": r"\textbar{}", '"': r"\textquotedbl{}", MINUS: "$-$", MISSING: "--", "±": r"$\pm$"}
    | {"⁺": "$^{+}$", "⁻": "$^{-}$"}
)
_MARKS = {"better": "⁺", "worse": "⁻", "inconclusive": ""}


def html(results: Results) -> str:
    """The text of report.html, one file that needs nothing else, not even a script."""
    environment = Environment(
        loader=PackageLoader("fairseq_lstmn.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["long"] = tables.is_long
    return environment.get_template("page.html.jinja").render(
        results=results,
        verdicts=verdicts(results),
        scores=tables.all_scores(results),
        validated_once=charts.validated_once(results),
        curves=(charts.curves(results), tables.curves(results)),
        buckets=[
            (charts.bars(results, bucket), tables.buckets(results, bucket))
            for bucket in results["buckets"]
        ],
        trainings=tables.trainings(results),
    )


def markdown(results: Results) -> str:
    """The text of report.md."""
    seeds = ", ".join(map(str, results["seeds"]))
    data = f"Data: {results['data']}. " if results["data"] else ""
    blocks = [
        *(f"> **Error:** {escaped(error)}" for error in results["errors"]),
        *(f"> **Warning:** {escaped(warning)}" for warning in results["warnings"]),
        f"# {escaped(results['title'])}",
        bullets(verdicts(results)),
        escaped(f"{data}Baseline: {results['baseline']}. Seeds: {seeds}."),
        bullets(results["notes"]),
        "## Scores",
        *map(markdown_table, tables.all_scores(results)),
        "## Learning curves",
        markdown_table(tables.curves(results)),
        "## Where they differ" if results["buckets"] else "",
        *(markdown_table(tables.buckets(results, bucket)) for bucket in results["buckets"]),
        "## Cost, budget and runs",
        *map(markdown_table, tables.trainings(results)),
        "## How to repeat it",
        fenced(results["commands"]),
        bullets(f"{name}: {value}" for name, value in results["versions"].items()),
        bullets(f"{name}: {value}" for name, value in results["machine"].items()),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def escaped(text: str) -> str:
    """``text`` in one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def markdown_table(table: Table) -> str:
    header, *rows = ([escaped(cell) for cell in row] for row in (table.header, *table.rows))
    return f"**{escaped(table.title)}**\n\n{aligned(header, rows, table.numeric, 'pipe')}"


def aligned(header: list[str], rows: list[list[str]], numeric: list[bool], style: str) -> str:
    """A table in one of tabulate's styles, numbers to the right."""
    sides = ["right" if right else "left" for right in numeric]
    text: str = tabulate(rows, header, style, disable_numparse=True, colalign=sides)
    return text


def fenced(commands: list[CommandEntry]) -> str:
    """All commands in one block, whose fence is longer than any in them."""
    text = "\n".join(f"# {c['run']}: {c['stage']}\n{c['command']}" for c in commands)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}" if commands else ""


def latex(results: Results) -> str:
    """The text of table.tex, to be \\input within a table environment (booktabs)."""
    header = ["Model", "Parameters (M)"]
    for metric in results["metrics"]:
        header += [
            metric["name"] + (f" ({metric['unit']})" if metric["unit"] else ""),
            "Difference",
        ]
    rows = [latex_row(model, results) for model in results["models"]]
    numeric = [False] + [True] * (len(header) - 1)
    text = aligned(header, rows, numeric, "latex_booktabs").translate(_SYMBOLS)
    return "".join(f"% {' '.join(line.split())}\n" for line in explanation(results)) + f"{text}\n"


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


def latex_row(model: ModelEntry, results: Results) -> list[str]:
    parameters = (model["parameters"] or {}).get("all")
    cells = [" ".join(model["name"].split()), number(parameters and parameters / 1e6)]
    for metric in results["metrics"]:
        score = model["scores"].get(metric["name"])
        cells += [mean(score), difference(score)] if score else [MISSING, MISSING]
    return cells


def mean(score: ScoreEntry) -> str:
    spread = score["deviation_seeds"]
    return number(score["mean"]) + (
        f" ± {number(spread, score['mean'])}" if spread is not None else ""
    )


def difference(score: ScoreEntry) -> str:
    """With its interval, and the verdict as a mark."""
    change, like = score["difference"], score["mean"]
    if not change or change["value"] is None:
        return MISSING
    low, high = number(change["low"], like), number(change["high"], like)
    return f"{signed(change['value'], like)} [{low}, {high}]{_MARKS[change['verdict']]}"
