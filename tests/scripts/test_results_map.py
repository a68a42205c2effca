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
