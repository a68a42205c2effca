"""report.html: everything in one file that needs nothing else, not even a script."""

from collections.abc import Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fairseq_lstmn.compare.report import bars, curves, run_tables, score_tables
from fairseq_lstmn.compare.report.record import Results
from fairseq_lstmn.compare.report.sentences import verdicts
from fairseq_lstmn.compare.report.series import DARK, LIGHT
from fairseq_lstmn.compare.report.table import Table, is_long


def report(results: Results) -> str:
    """The text of the page."""
    environment = Environment(
        loader=PackageLoader("fairseq_lstmn.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["long"] = is_long
    return environment.get_template("page.html.jinja").render(
        results=results,
        verdicts=verdicts(results),
        scores=score_tables.all_of(results),
        validated_once=curves.validated_once(results),
        curves=(Markup(curves.for_page(results)), run_tables.curves(results)),
        buckets=list(bucket_charts(results)),
        trainings=run_tables.trainings(results),
        light=LIGHT,
        dark=DARK,
    )


def bucket_charts(results: Results) -> Iterator[tuple[Markup, Table]]:
    """Every chart, which is safe markup, with the table of its numbers."""
    for at, bucket in enumerate(results["buckets"]):
        chart = Markup(bars.for_page(results, bucket, f"bucket-{at}"))
        yield chart, score_tables.buckets(results, bucket)
