"""The picture of where a tape pays has every row of the page, on one scale."""

import sys
from pathlib import Path

import pytest

from fairseq_lstmn.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def results_map(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "scripts")
    import results_map

    yield results_map
    del sys.modules["results_map"]


@pytest.fixture
def summary(results_map):
    import quickstart_summary

    yield quickstart_summary
    del sys.modules["quickstart_summary"]


def comparison(unit, lstm, lstmn, low=None, high=None, verdict="better"):
    """What the summary reads of results.json."""
    difference = None if low is None else dict(low=low, high=high, verdict=verdict)
    scores = {"LSTM": (lstm, None), "LSTMN": (lstmn, difference)}
    models = [
        dict(name=name, scores={"metric": dict(mean=mean, difference=of)})
        for name, (mean, of) in scores.items()
    ]
    metric = dict(name="metric", unit=unit, higher_is_better=unit == "%")
    return dict(metrics=[metric], baseline="LSTM", models=models)


def test_a_comparison_is_drawn_as_shares_of_what_the_baseline_leaves_to_gain(summary):
    [row] = summary.rows("task", comparison("", 80.0, 60.0, -1e-05, 4e-06))
    assert row[3:] == pytest.approx((-0.25, -1.25e-7, 5e-8))
    [row] = summary.rows("task", comparison("%", 90.0, 95.0, -10.0, 20.0))
    assert row[3:] == pytest.approx((-0.5, -2.0, 1.0))


@pytest.mark.parametrize("scores", [(100.0, 90.0, -12.0, -8.0), (None, 90.0), (80.0, None)])
def test_what_cannot_be_compared_is_left_out(summary, scores):
    assert list(summary.rows("task", comparison("%", *scores))) == []


def test_what_may_be_chance_is_said_to_be(summary):
    sure, unsure = (
        comparison("%", 45.0, 58.0, -91.0, 116.0, verdict) for verdict in ("better", "inconclusive")
    )
    assert summary.line("dates", sure).endswith("LSTM 45% right")
    assert summary.line("dates", unsure).endswith("LSTM 45% right (could be chance)")


def test_the_best_is_named_first(summary):
    assert summary.line("dates", comparison("%", 90.0, 95.0)).endswith(
        "LSTMN 95% right, LSTM 90% right"
    )
    assert summary.line("dates", comparison("%", None, None)).endswith("no score")


PERPLEXITY = "| [text](page) | perplexity 80.0 | LSTMN | 60.0 | -24.0 to -16.0 | better | 3 |"
SHARE = "| dates | 90.0% | LSTMN | 95.0% | -10.00 to +20.00 | inconclusive | 3 |"


def test_perplexities_are_compared_as_they_are_and_shares_by_their_errors(results_map):
    text, dates = results_map.results(f"| task | LSTM |\n|---|---|\n{PERPLEXITY}\n{SHARE}\nelse")
    assert text[:3] == ("text", "LSTMN", "better")
    assert text[3:] == pytest.approx((-0.25, -0.3, -0.2))
    # 5 of 10 errors less; the interval the other way about
    assert dates[3:] == pytest.approx((-0.5, -2.0, 1.0))


def test_every_row_of_the_page_has_a_place(results_map):
    page = (CHECKOUT / "examples" / "RESULTS.md").read_text()
    rows = [line for line in page.splitlines() if line.endswith((" 3 |", " 5 |"))]
    assert len(list(results_map.results(page))) == len(rows) > 20


def test_a_verdict_that_is_none_is_refused(results_map):
    with pytest.raises(InputError, match="bettr"):
        list(results_map.results(PERPLEXITY.replace("better", "bettr")))
