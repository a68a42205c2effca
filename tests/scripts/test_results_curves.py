"""The pictures of how a gain grows have every number of their table, relative to the LSTM's."""

import sys
from pathlib import Path

import pytest

from fairseq_lstmn.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = """
| text | words | LSTM | LSTMN | Transformer |
|---|---|---|---|---|
| code | 200,000 | 80.0 (79 to 81) | 60.0 (1 to 99) | 100 |
| code | 50,000 | 100 | 90 | |
| prose | 50,000 | 10 | 10 | 5 |

| other | slots | LSTM | LSTMN |
|---|---|---|---|
| prose | 35 | 4 | 8 |
"""


@pytest.fixture
def curves(monkeypatch):
    monkeypatch.syspath_prepend(CHECKOUT / "scripts")
    import results_curves

    yield results_curves
    del sys.modules["results_curves"], sys.modules["results_map"]


def test_a_table_is_found_by_its_second_column(curves):
    assert curves.read(PAGE, "words").panels == {
        "code": {"LSTMN": {200_000: 0.75, 50_000: 0.9}, "Transformer": {200_000: 1.25}},
        "prose": {"LSTMN": {50_000: 1.0}, "Transformer": {50_000: 0.5}},
    }
    assert curves.read(PAGE, "slots").panels == {"prose": {"LSTMN": {35: 2.0}}}


def test_what_cannot_be_drawn_is_named(curves):
    for page, message in {
        PAGE.replace("words", "lines"): "words: no table has such a second column",
        PAGE.replace("| 10 | 10 | 5 |", "| | 10 | 5 |"): "words: prose | 50,000 |  | 10 | 5: lacks",
        PAGE.replace("| LSTM |", "| LSTM | a | b | c |"): "words: 5 models: at most 4",
    }.items():
        with pytest.raises(InputError) as error:
            curves.read(page, "words")
        assert str(error.value).startswith(message)


def test_a_panel_and_a_curve_for_each(curves, tmp_path, monkeypatch):
    drawn = []
    draw_panel = curves.draw_panel
    monkeypatch.setattr(
        curves, "draw_panel", lambda axes, of: (draw_panel(axes, of), drawn.append(axes))
    )
    curves.draw(curves.read(PAGE, "words"), tmp_path / "words.png")
    assert (tmp_path / "words.png").read_bytes().startswith(b"\x89PNG")
    code, prose = drawn
    [lstmn, transformer, level] = code.get_lines()
    assert lstmn.get_label() == "LSTMN" and transformer.get_label() == "Transformer"
    assert list(lstmn.get_xdata()) == [50_000, 200_000]  # in order, whatever the table's is
    assert list(lstmn.get_ydata()) == pytest.approx([-0.1, -0.25])
    assert list(prose.get_lines()[1].get_ydata()) == [-0.5]
