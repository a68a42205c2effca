"""report.md: the page's tables in GitHub's Markdown."""

import re
from collections.abc import Iterable

from fairseq_lstmn.compare.report import run_tables, score_tables
from fairseq_lstmn.compare.report.record import CommandEntry, Results
from fairseq_lstmn.compare.report.sentences import verdicts
from fairseq_lstmn.compare.report.table import Table

# an underscore within a word is none of Markdown's
_SPECIAL = re.compile(r"[\\`*\[\]<>|#&~]|(?<![^\W_])_|_(?![^\W_])")


def report(results: Results) -> str:
    """The text of the file."""
    seeds = ", ".join(map(str, results["seeds"]))
    data = f"Data: {results['data']}. " if results["data"] else ""
    blocks = [
        *quoted("Error", results["errors"]),
        *quoted("Warning", results["warnings"]),
        f"# {escaped(results['title'])}",
        bullets(verdicts(results)),
        escaped(f"{data}Baseline: {results['baseline']}. Seeds: {seeds}."),
        bullets(results["notes"]),
        "## Scores",
        *map(table, score_tables.all_of(results)),
        "## Learning curves",
        table(run_tables.curves(results)),
        "## Where they differ" if results["buckets"] else "",
        *(table(score_tables.buckets(results, bucket)) for bucket in results["buckets"]),
        "## Cost, budget and runs",
        *(table(found) for found in run_tables.trainings(results)),
        "## How to repeat it",
        commands(results["commands"]),
        bullets(f"{name}: {value}" for name, value in results["versions"].items()),
        bullets(f"{name}: {value}" for name, value in results["machine"].items()),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def escaped(text: str) -> str:
    """``text`` in one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def quoted(kind: str, sentences: list[str]) -> list[str]:
    return [f"> **{kind}:** {escaped(sentence)}" for sentence in sentences]


def bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(sentence)}" for sentence in sentences)


def table(found: Table) -> str:
    rule = ["--:" if numeric else "--" for numeric in found.numeric]
    rows = [map(escaped, found.header), rule, *(map(escaped, row) for row in found.rows)]
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"**{escaped(found.title)}**", "", *lines])


def commands(found: list[CommandEntry]) -> str:
    """All commands in one block, whose fence is longer than any in them."""
    lines = [f"# {command['run']}: {command['stage']}\n{command['command']}" for command in found]
    text = "\n".join(lines)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}" if found else ""
