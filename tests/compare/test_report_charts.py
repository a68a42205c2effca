"""The charts of a report: what is averaged, what is drawn and in which colours."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from fairseq_lstmn.compare.report import bars, curves, series
from tests.compare import fake_results

SVG = "{http://www.w3.org/2000/svg}"
LIGHT_PAPER, DARK_PAPER = "#ffffff", "#14171c"


def points(*pairs):
    return np.array(pairs, dtype=float).T


def test_average_of_runs_of_the_same_length():
    average = curves.averaged([points((10, 4), (20, 2)), points((10, 8), (20, 3))])
    assert average.updates.tolist() == [10, 20]
    assert average.mean.tolist() == [6, 2.5]
    assert (average.low.tolist(), average.high.tolist()) == ([4, 2], [8, 3])
    assert average.tails == []


def test_average_ends_with_the_shortest_run_and_the_rest_goes_on():
    average = curves.averaged([points((10, 4), (20, 2), (30, 1)), points((10, 8), (15, 6))])
    assert average.updates.tolist() == [10, 15]
    assert average.mean.tolist() == [6, 4.5]
    (tail,) = average.tails
    assert tail.tolist() == [[20, 30], [2, 1]]


def test_average_of_runs_that_never_meet_is_empty():
    average = curves.averaged([points((10, 4)), points((20, 3), (30, 2))])
    assert average.updates.size == 0 and len(average.tails) == 1


def test_no_runs_no_average():
    assert curves.averaged([]) is None


def test_failed_runs_count_only_where_none_has_finished():
    model = fake_results.results(1, 2)["models"][0]
    fake_results.fail(model, 1, "Killed")
    assert [curve.shape[1] for curve in curves.curve_runs(model)] != [3]
    assert len(curves.curve_runs(model)) == 1
    fake_results.fail(model, 2, "Killed")
    assert [curve.shape[1] for curve in curves.curve_runs(model)] == [3, 3]


@pytest.mark.parametrize("higher", [False, True])
def test_start_of_the_curves_lies_outside_where_it_would_flatten_the_rest(higher):
    sign = -1 if higher else 1
    values = [900, 70, 61, 60, 60, 59, 58, 57]
    average = curves.averaged([points(*((at, sign * value) for at, value in enumerate(values)))])
    low, high = sorted(sign * edge for edge in curves.window([average], higher))
    assert 50 < low < 57 and 60 < high < 70


def once(results):
    """``results`` whose runs were validated once, and not all at the same update."""
    for model in results["models"]:
        for run in model["runs"]:
            run["curve"] = [[1000 + 10 * run["seed"], 60.0 + run["seed"]]]
    return results


def test_one_validation_is_a_mark_for_every_model():
    results = once(fake_results.results(3, 2))
    assert curves.validated_once(results)
    root = drawn(results)
    assert root.findtext(f"{SVG}title") == (
        "validation perplexity, validated once, of lstm, lstmn, lstmn deep"
    )
    texts = list(root.itertext())
    assert {"lstm", "lstmn", "lstmn deep", "validation perplexity"} <= set(texts)
    assert "update" not in texts


def test_one_run_with_a_curve_is_enough_for_curves():
    results = once(fake_results.results(3, 2))
    results["models"][2]["runs"][0]["curve"] = [[1000, 61.0], [1100, 60.0]]
    assert not curves.validated_once(results)
    results["models"][2]["runs"][0]["curve"] = [[1000, 61.0], [1100, None]]
    assert curves.validated_once(results)


def test_a_model_that_was_never_validated_keeps_its_row():
    results = once(fake_results.results(2, 1))
    results["models"][1]["runs"][0]["curve"] = []
    assert {"lstm", "lstmn"} <= set(drawn(results).itertext())


def test_curves_that_fit_are_shown_in_whole():
    average = curves.averaged([points((0, 64), (1, 62), (2, 60), (3, 58))])
    low, high = curves.window([average], False)
    assert low < 58 and high > 64


def drawn(results):
    return ElementTree.fromstring(curves.for_paper(results))


def areas(root):
    return root.findall(f".//{SVG}g[@id]")


def bands(root):
    return [group for group in areas(root) if "PolyCollection" in group.get("id")]


@pytest.mark.parametrize("seeds, count", [(1, 0), (3, 2)])
def test_bands_where_there_are_seeds(seeds, count):
    assert len(bands(drawn(fake_results.results(2, seeds)))) == count


def test_curves_of_nothing_are_a_drawing_all_the_same():
    results = fake_results.results(2, 1)
    for model in results["models"]:
        model["runs"][0]["curve"] = []
    root = drawn(results)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title").startswith("Learning curves: validation perplexity over")


def test_long_name_is_shortened_in_the_legend():
    names = ["lstm", "a" * 60 + "z"]
    texts = list(drawn(fake_results.results(2, 1, names=names)).itertext())
    (short,) = [text for text in texts if text.startswith("\u200ba")]
    assert len(short) < 50 and short.endswith("az")


def test_all_colours_are_final():
    results = fake_results.results(8, 2)
    stand_ins = "#01[0-9a-f]{4}"
    paper, page = curves.for_paper(results), curves.for_page(results)
    assert not re.search(stand_ins, paper) and not re.search(stand_ins, page)
    assert "var(" not in paper and "currentColor" not in paper
    assert set(re.findall(r"var\(--([a-z]+)", page)) == {"line", "series"}
    assert len(set(re.findall(r"var\(--series-\d", page))) == 8


def test_text_stays_text():
    texts = list(drawn(fake_results.results(2, 1)).itertext())
    assert {"update", "validation perplexity", "\u200blstmn"} <= set(texts)


def test_perplexities_are_compared_in_percent():
    results = fake_results.results(2, 2)
    bucket = results["buckets"][0]
    bucket["values"]["lstm"] = [500.0, 50.0, 20.0, None, 10.0]
    bucket["differences"]["lstmn"] = [-50.0, 1.0, None, None, 0.0]
    found = bars.what_to_draw(results, bucket)
    assert found.values == {"lstmn": [-10.0, 2.0, None, None, 0.0]}
    assert found.axis == "perplexity minus lstm's, in % (left is better)"


def test_other_metrics_are_compared_as_they_are():
    results = fake_results.results(3, 2, "reading")
    bucket = results["buckets"][0]
    found = bars.what_to_draw(results, bucket)
    assert found.values == bucket["differences"]
    assert found.axis == "accuracy minus lstm's (right is better)"


def test_every_group_has_its_name_and_count():
    results = fake_results.results(3, 2, "reading")
    chart = ElementTree.fromstring(bars.for_page(results, results["buckets"][1], "chart"))
    texts = list(chart.itertext())
    assert {"entailment", "contradiction", "neutral", "n = 1,204"} <= set(texts)
    assert (chart.get("role"), chart.get("aria-label")) == (
        "img",
        "accuracy by class, accuracy minus lstm's (right is better), of lstmn, lstmn deep",
    )


@pytest.mark.parametrize("colours, paper", [(series.LIGHT, LIGHT_PAPER), (series.DARK, DARK_PAPER)])
def test_colours_stand_out_from_the_page(colours, paper):
    assert len(set(colours)) == 8
    for colour in colours:
        bright, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 3, colour


def luminance(colour):
    """Relative, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722)))


def test_no_two_looks_are_the_same():
    results = fake_results.results(8, 1)
    looks = series.looks(results, series.LIGHT).values()
    assert len({look.marker for look in looks}) == len({look.colour for look in looks}) == 8
