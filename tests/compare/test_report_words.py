"""What a report says: its numbers, sentences and tables."""

from functools import partial

import pytest

from fairseq_lstmn.compare import report
from fairseq_lstmn.compare.report import tables, words
from fairseq_lstmn.compare.report.tables import Table, is_long
from fairseq_lstmn.compare.report.words import verdicts
from tests.compare import fake_results


@pytest.mark.parametrize(
    "say, value, text",
    [
        (words.number, None, "–"),
        (words.number, 58.204, "58.20"),
        (words.number, 0.08317, "0.083"),
        (words.number, 123.456, "123.5"),
        (words.number, 1234.5, "1,234"),
        (words.number, 0, "0.000"),
        (partial(words.number, like=58.2), -0.3, "−0.30"),
        (partial(words.number, like=58.2), -0.001, "0.00"),
        (partial(words.signed, like=58.2), 0.3, "+0.30"),
        (partial(words.signed, like=58.2), -0.3, "−0.30"),
        (partial(words.signed, like=58.2), 0.001, "0.00"),
        (words.signed, None, "–"),
        (words.probability, 0.0009, "<0.001"),
        (words.probability, 0.001, "0.001"),
        (words.probability, 1, "1.000"),
        (words.probability, None, "–"),
        (words.memory, 700 * 2**20, "700 MiB"),
        (words.memory, 3 * 2**29, "1.50 GiB"),
        (words.memory, None, "–"),
    ],
)
def test_numbers(say, value, text):
    assert say(value) == text


@pytest.mark.parametrize("length", [5, 6, 89])
def test_shortened_keeps_both_ends(length):
    name = "a" + "x" * 88 + "z"
    short = words.shortened(name, length)
    assert len(short) == length and short[0] == "a" and short[-1] == "z" and "…" in short
    assert words.shortened(name, 90) == name


def sentence_of(difference, **changes):
    """The sentence of a second model with this mean and difference."""
    results = fake_results.results(2, 3)
    first, second = (model["scores"]["perplexity"] for model in results["models"])
    first["mean"], second["mean"] = 57.9, 58.2
    second["difference"] = difference and {**second["difference"], **difference, **changes}
    return verdicts(results)[1]


INTERVAL = {"value": 0.3, "low": -1.1, "high": 1.7, "verdict": "inconclusive", "reason": None}


def test_sentence_says_the_verdict_first_and_why_there_is_none():
    assert sentence_of(INTERVAL) == (
        "lstmn against lstm: inconclusive, perplexity 58.20 against 57.90 "
        "(+0.30, 95% interval −1.10 to 1.70)."
    )
    worse = sentence_of(INTERVAL, verdict="worse")
    assert worse.startswith("lstmn against lstm: worse, perplexity")
    assert sentence_of(INTERVAL, reason="one seed: x").endswith("−1.10 to 1.70); one seed: x.")
    assert "no verdict, perplexity 58.20, nothing to compare it with" in sentence_of(None)
    unknown = sentence_of(INTERVAL, value=None, low=None, high=None, reason="not finite")
    assert "(–, 95% interval –); not finite." in unknown


def test_sentence_says_a_reason_once_where_it_is_the_same():
    results = fake_results.results(2, 3, "reading")
    accuracy, f1 = (score["difference"] for score in results["models"][1]["scores"].values())
    accuracy["reason"], f1["reason"] = "chance: a", "chance: b"
    one, other = verdicts(results)[1].split("macro-f1")
    assert "; chance: a)" in one and other.endswith("; chance: b).")
    f1["reason"] = "chance: a"
    sentence = verdicts(results)[1]
    assert sentence.count("chance") == 1 and sentence.endswith("); chance: a.")


def test_sentence_names_every_metric_and_points():
    results = fake_results.results(2, 3, "translation")
    del results["models"][1]["scores"]["chrf"]
    baseline, sentence = verdicts(results)
    assert baseline.startswith("lstm is the baseline: bleu 2")
    assert sentence.count("95% interval") == 2 and sentence.count(" points, ") == 1
    assert "; no verdict, chrf –, nothing to compare it with; " in sentence


def cells(table, model):
    (row,) = (row for row in table.rows if row[0] == model)
    return dict(zip(table.header, row))


def test_scores_show_corrected_chances_and_every_seed():
    results = fake_results.results(3, 2)
    score = results["models"][1]["scores"]["perplexity"]
    score["seeds"] = {"2": 58.5}
    score["difference"].update(
        **{"p": 0.011, "p_holm": 0.022, "p_items": 0.031, "p_items_holm": 0.042},
        **{"p_seeds": 0.5, "p_seeds_least": 1 / 6, "verdict": "better"},
    )
    row = cells(tables.scores(results, results["metrics"][0]), "lstmn")
    assert (row["p"], row["p over items"]) == ("0.022", "0.042")
    assert row["verdict"] == "better"
    row = cells(tables.seeds(results, results["metrics"][0]), "lstmn")
    assert row["p over seeds"] == "0.500 (least\u00a00.167)"
    assert row["seed 1\u00a0/ 2"] == "–\u00a0/ 58.50"


def test_scores_of_the_baseline_and_of_one_seed():
    results = fake_results.results(2, 1)
    unknown = dict.fromkeys(("low", "high", "p_holm", "p_items_holm"))
    results["models"][1]["scores"]["perplexity"]["difference"].update(unknown)
    row = cells(tables.scores(results, results["metrics"][0]), "lstmn")
    assert row["p"] == row["p over items"] == row["95% interval"] == "–"
    assert cells(tables.seeds(results, results["metrics"][0]), "lstmn")["p over seeds"] == "–"
    row = cells(tables.scores(results, results["metrics"][0]), "lstm")
    assert row["verdict"] == "baseline"
    assert row["p"] == row["difference"] == "–"
    row = cells(tables.seeds(results, results["metrics"][0]), "lstm")
    assert row["deviation over seeds"] == "–"
    assert cells(tables.sizes(results), "lstm")["all"] == "6,850,300"


def test_buckets_show_values_with_differences():
    results = fake_results.results(2, 3)
    bucket = results["buckets"][0]
    bucket["values"]["lstmn"][0], bucket["differences"]["lstmn"][0] = 510.25, -12.5
    bucket["values"]["lstmn"][1] = bucket["differences"]["lstmn"][1] = None
    table = tables.buckets(results, bucket)
    assert table.header == ["frequency in training", "lstm", "lstmn"]
    assert [row[0] for row in table.rows[:2]] == [
        "never (n\u00a0=\u00a01,204)",
        "1-10 (n\u00a0=\u00a04,816)",
    ]
    assert [row[2] for row in table.rows[:2]] == ["510.2 (−12.5)", "–"]


def test_trials_mark_the_chosen_one():
    results = fake_results.results(2, 1)
    results["trials"] = [
        {"model": "lstm", "options": {"dropout": 0.1}, "valid": 60.0, "chosen": True},
        {"model": "lstmn", "options": {"dropout": 0.3}, "valid": None, "chosen": False},
    ]
    table = tables.trials(results)
    assert table.header == ["setting", "lstm", "lstmn"]
    assert table.rows == [["dropout 0.1", "60.00 (chosen)", "–"], ["dropout 0.3", "–", "–"]]


def test_runs_say_how_they_ended():
    results = fake_results.results(1, 3)
    first, second, third = results["models"][0]["runs"]
    first.update(best_valid=58.21, best_update=1200)
    second.update(state="failed", error="Killed")
    third.update(state="missing")
    assert tables.runs(results) == Table(
        "Runs (best validation perplexity)",
        ["seed", "lstm"],
        [["1", "58.21 at update 1,200"], ["2", "failed: Killed"], ["3", "missing"]],
    )


@pytest.mark.parametrize("higher, best", [(False, "55.00 to 58.00"), (True, "60.00 to 90.00")])
def test_table_of_curves(higher, best):
    results = fake_results.results(1, 2)
    results["curve"]["higher_is_better"] = higher
    one, other = results["models"][0]["runs"]
    one["curve"], other["curve"] = [[10, 90.0], [20, 55.0], [30, 56.0]], [[10, 58.0], [20, 60.0]]
    assert tables.curves(results).rows == [
        ["lstm", "58.00 to 90.00", best, "56.00 to 60.00", "20 to 30"]
    ]


def test_columns_of_numbers_are_known():
    results = fake_results.results(2, 2)
    fake_results.fail(results["models"][0], 1, "Killed")
    table = tables.scores(results, results["metrics"][0])
    assert table.numeric == [False, False] + [True] * 5
    assert tables.runs(results).numeric == [False, False, True]


@pytest.mark.parametrize(
    "text, long",
    [("−2.13 to 1.39", False), ("a" * 14, False), ("a" * 15, True), ("a b " * 8, True)],
)
def test_text_that_would_make_a_table_too_wide(text, long):
    assert is_long(text) == long


def test_what_the_numbers_are_is_said_as_it_is(tmp_path):
    report.write(fake_results.results(2, 1), tmp_path)
    page, latex = ((tmp_path / name).read_text() for name in ("report.html", "table.tex"))
    for phrase in (
        "over items alone where either model has one seed",
        "one-sided in the direction seen; double it to compare it with the other two",
        "where that is 0.05 or more",
        "not corrected for the number of models",
        "not for the number of metrics",
        "both models have at least two seeds",
    ):
        assert phrase in " ".join(page.split())
    caption = latex.replace("\n% ", " ")
    assert "over items alone where either model has one seed" in caption
    assert "not corrected for the number of models" in caption
    assert "at least two seeds of both" in caption
