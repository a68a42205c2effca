"""The charts of a report: what is averaged, what is drawn and how models are told apart."""

from xml.etree import ElementTree

import numpy as np
import pytest

from fairseq_lstmn.compare.report import charts
from tests.compare import fake_results

SVG = "{http://www.w3.org/2000/svg}"


def points(*pairs):
    return np.array(pairs, dtype=float).T


def test_average_of_runs_of_the_same_length():
    average = charts.averaged([points((10, 4), (20, 2)), points((10, 8), (20, 3))])
    assert average.updates.tolist() == [10, 20]
    assert average.mean.tolist() == [6, 2.5]
    assert (average.low.tolist(), average.high.tolist()) == ([4, 2], [8, 3])
    assert average.tails == []


def test_average_ends_with_the_shortest_run_and_the_rest_goes_on():
    average = charts.averaged([points((10, 4), (20, 2), (30, 1)), points((10, 8), (15, 6))])
    assert average.updates.tolist() == [10, 15]
    assert average.mean.tolist() == [6, 4.5]
    (tail,) = average.tails
    assert tail.tolist() == [[20, 30], [2, 1]]


def test_average_of_runs_that_never_meet_is_empty():
    average = charts.averaged([points((10, 4)), points((20, 3), (30, 2))])
    assert average.updates.size == 0 and len(average.tails) == 1
    assert charts.averaged([]) is None


def test_failed_runs_count_only_where_none_has_finished():
    model = fake_results.results(1, 2)["models"][0]
    fake_results.fail(model, 1, "Killed")
    (curve,) = charts.curve_runs(model)
    assert curve.shape[1] != 3
    fake_results.fail(model, 2, "Killed")
    assert [curve.shape[1] for curve in charts.curve_runs(model)] == [3, 3]


@pytest.mark.parametrize("higher", [False, True])
def test_start_of_the_curves_lies_outside_where_it_would_flatten_the_rest(higher):
    sign = -1 if higher else 1
    values = [900, 70, 61, 60, 60, 59, 58, 57]
    average = charts.averaged([points(*((at, sign * value) for at, value in enumerate(values)))])
    low, high = sorted(sign * edge for edge in charts.window([average], higher))
    assert 50 < low < 57 and 60 < high < 70


def test_curves_that_fit_are_shown_in_whole():
    one, other = points((0, 64), (1, 62), (2, 60), (3, 58)), points((0, 60), (1, 59))
    low, high = charts.window([charts.averaged([one, other])], False)
    assert low < 58 and high > 64


def root(drawing):
    """The element of a chart, which says in words what it shows."""
    element = ElementTree.fromstring(drawing.svg)
    assert element.findtext(f"{SVG}title") == drawing.title
    return element


def once(results):
    """``results`` whose runs were validated once, and not all at the same update."""
    for model in results["models"]:
        for run in model["runs"]:
            run["curve"] = [[1000 + 10 * run["seed"], 60.0 + run["seed"]]]
    return results


def test_one_validation_is_a_mark_for_every_model():
    """One that was never validated keeps its row."""
    results = once(fake_results.results(3, 2))
    results["models"][1]["runs"][0]["curve"] = results["models"][1]["runs"][1]["curve"] = []
    assert charts.validated_once(results)
    chart = charts.curves(results)
    assert chart.title == "validation perplexity, validated once, of lstm, lstmn, lstmn deep"
    texts = list(root(chart).itertext())
    assert {"lstm", "lstmn", "lstmn deep", "validation perplexity"} <= set(texts)
    assert "update" not in texts


def test_one_run_with_a_curve_is_enough_for_curves():
    results = once(fake_results.results(3, 2))
    results["models"][2]["runs"][0]["curve"] = [[1000, 61.0], [1100, 60.0]]
    assert not charts.validated_once(results)
    results["models"][2]["runs"][0]["curve"] = [[1000, 61.0], [1100, None]]
    assert charts.validated_once(results)


@pytest.mark.parametrize("seeds, count", [(1, 0), (3, 2)])
def test_bands_where_there_are_seeds(seeds, count):
    groups = root(charts.curves(fake_results.results(2, seeds))).iter(f"{SVG}g")
    assert sum("PolyCollection" in group.get("id", "") for group in groups) == count


def test_curves_of_nothing_are_a_drawing_all_the_same():
    results = fake_results.results(2, 1)
    for model in results["models"]:
        model["runs"][0]["curve"] = []
    chart = charts.curves(results)
    assert chart.title == "Learning curves: validation perplexity over the updates of lstm, lstmn"
    assert root(chart).tag == f"{SVG}svg"


def test_text_stays_text_and_long_names_are_shortened():
    results = fake_results.results(3, 1, names=["lstm", "_x", "a" * 60 + "z"])
    texts = list(root(charts.curves(results)).itertext())
    assert {"update", "validation perplexity", "\u200b_x"} <= set(texts)
    (short,) = [text for text in texts if text.startswith("\u200ba")]
    assert len(short) < 50 and short.endswith("az")


def test_perplexities_are_compared_in_percent():
    results = fake_results.results(2, 2)
    bucket = results["buckets"][0]
    bucket["values"]["lstm"] = [500.0, 50.0, 20.0, None, 10.0]
    bucket["differences"]["lstmn"] = [-50.0, 1.0, None, None, 0.0]
    assert charts.bar_lengths(results, bucket) == (
        "perplexity minus lstm's, in % (left is better)",
        {"lstmn": [-10.0, 2.0, None, None, 0.0]},
    )
    root(charts.bars(results, bucket))


def test_other_metrics_are_compared_as_they_are():
    results = fake_results.results(3, 2, "reading")
    chart = charts.bars(results, results["buckets"][1])
    assert {"entailment", "contradiction", "neutral", "n = 1,204"} <= set(root(chart).itertext())
    assert chart.title == (
        "accuracy by class, accuracy minus lstm's (right is better), of lstmn, lstmn deep"
    )
    _, by_model = charts.bar_lengths(results, results["buckets"][1])
    assert by_model == results["buckets"][1]["differences"]


def test_looks_are_apart_and_stand_out_from_the_paper():
    looks = charts.looks(fake_results.results(8, 1)).values()
    assert len({look["marker"] for look in looks}) == len({look["color"] for look in looks}) == 8
    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in charts.COLOURS)


def luminance(colour):
    """Relative, as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722)))
