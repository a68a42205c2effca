"""The files of a report: what is in each, and that it can be trusted to be read as it is."""

import json
import math
import os
import re
from base64 import b64decode
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from fairseq_lstmn.compare import report
from tests.compare import fake_results

FILES = ("curves.svg", "report.html", "report.md", "results.json", "table.tex")
HOSTILE = ['<b>&"x', r"50%_$a$#{b}~^\c", "_a|b`*[c](d)_", "x" * 90, "</title><script>", "语言"]
SIZES = [(2, 1, "language"), (8, 5, "language"), (2, 3, "translation"), (3, 5, "reading")]


class Parsed(HTMLParser):
    """A page's table rows, the addresses in it, what images show, tags and text."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.addresses, self.images, self.tags, self.text = [], [], [], [], []
        self.in_body = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "tbody":
            self.rows.append(0)
            self.in_body = True
        if tag == "tr" and self.in_body:
            self.rows[-1] += 1
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.addresses.append(value)
            if name == "alt":
                self.images.append(value)

    def handle_endtag(self, tag):
        if tag == "tbody":
            self.in_body = False

    def handle_data(self, data):
        self.text.append(data)


def written(results, folder):
    """The text of every file, by its name."""
    report.write(results, folder)
    assert sorted(path.name for path in folder.iterdir()) == list(FILES)
    return {name: (folder / name).read_text(encoding="utf-8") for name in FILES}


@pytest.mark.parametrize("models, seeds, kind", SIZES)
def test_every_table_has_a_row_or_a_column_for_every_model_and_numbers_to_the_right(
    tmp_path, models, seeds, kind
):
    results = fake_results.results(models, seeds, kind, tuned=True)
    files = written(results, tmp_path)
    rows = [
        *[models] * (2 * len(results["metrics"]) + 2),  # scores, seeds; parameters, curves
        *(len(bucket["labels"]) for bucket in results["buckets"]),
        *(models, models, models, 3, seeds),  # cost, budget, settings, trials, runs
    ]
    assert Parsed(files["report.html"]).rows == rows
    assert markdown_rows(files["report.md"]) == rows
    for model in results["models"]:
        assert Parsed(files["report.html"]).text.count(model["name"]) >= len(rows)
    assert files["table.tex"].count(r"\\") == 1 + models
    numbers = "r" * (1 + 2 * len(results["metrics"]))
    assert rf"\begin{{tabular}}{{l{numbers}}}" in files["table.tex"]
    assert re.search(r"^\|:-+\|:-+\|(-+:\|){5}$", files["report.md"], re.M)
    for model in results["models"]:
        name = model["name"].replace("_", r"\_")
        assert len(re.findall(rf"^ *{re.escape(name)} +& ", files["table.tex"], re.M)) == 1


def markdown_rows(text):
    """The number of rows of every table; fails where rows differ in length."""
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    return [len(table.splitlines()) - 2 for table in tables]


def latex_rows(text):
    return [re.split(r" +& +", line[:-3].strip()) for line in text.splitlines() if " & " in line]


def test_results_come_back_as_they_were_and_give_the_same_files(tmp_path):
    results = fake_results.results(3, 2)
    first = written(results, tmp_path)
    assert json.loads(first["results.json"]) == results
    assert written(fake_results.results(3, 2), tmp_path) == first


def test_what_json_does_not_have_is_missing(tmp_path):
    results = fake_results.results()
    results["models"][1]["cost"]["minutes"] = math.inf
    results["models"][1]["runs"][0]["curve"][1][1] = math.nan
    back = json.loads(written(results, tmp_path)["results.json"], parse_constant=pytest.fail)
    assert back["models"][1]["cost"]["minutes"] is None
    assert back["models"][1]["runs"][0]["curve"][1] == [400, None]
    assert results["models"][1]["cost"]["minutes"] == math.inf


@pytest.mark.parametrize("what", ["errors", "warnings"])
def test_what_went_wrong_and_what_the_scores_leave_out_stand_first(tmp_path, what):
    results = fake_results.results()
    files, kind = written(results, tmp_path), what[:-1]
    assert 'role="alert"' not in files["report.html"]
    assert files["report.md"].startswith("# LSTMN against LSTM")
    results[what] = ["lstm answered 19 of 20"]
    files = written(results, tmp_path)
    page = files["report.html"].partition("<body>")[2]
    assert page.index("lstm answered 19 of 20") < page.index("<h1>")
    assert ('role="alert"' in page) == (what == "errors")
    assert files["report.md"].startswith(f"> **{kind.title()}:** lstm answered 19 of 20")
    assert files["table.tex"].startswith(f"% {kind.upper()}: lstm answered 19 of 20")
    assert report.summary(results).startswith(f"{kind}: lstm answered 19 of 20")


def test_models_without_a_score_keep_their_rows(tmp_path):
    results = fake_results.results(3, 3)
    _, second, third = results["models"]
    fake_results.fail(second, 1, "RuntimeError: out of memory")
    for seed in results["seeds"]:
        fake_results.fail(third, seed, "Killed")
    for bucket in results["buckets"]:
        bucket["values"][third["name"]] = [None] * len(bucket["labels"])
        del bucket["differences"][third["name"]]
    files = written(results, tmp_path)
    assert Parsed(files["report.html"]).rows == markdown_rows(files["report.md"])
    assert "lstmn deep: no verdict, no run was scored." in files["report.html"]
    assert "failed: Killed" in files["report.html"]
    assert ["lstmn deep", "7.03", "--", "--"] in latex_rows(files["table.tex"])


def test_scores_that_are_no_numbers(tmp_path):
    results = fake_results.results(2, 2, "reading")
    score = results["models"][1]["scores"]["accuracy"]
    score.update(mean=math.inf, seeds={"1": math.inf}, deviation_seeds=None, deviation_items=None)
    score["difference"].update(value=None, low=None, high=None, verdict="inconclusive")
    files = written(results, tmp_path)
    assert "inconclusive, accuracy – against" in files["report.html"]
    assert ["lstmn", "6.94", "--", "--"] in [row[:4] for row in latex_rows(files["table.tex"])]


def test_nothing_but_failures(tmp_path):
    results = fake_results.results(2, 2)
    for model in results["models"]:
        for seed in results["seeds"]:
            fake_results.fail(model, seed, "Killed")
        model["parameters"] = None
        for run in model["runs"]:
            run["curve"] = []
    for bucket in results["buckets"]:
        bucket.update(values={}, differences={})
    files = written(results, tmp_path)
    assert set(Parsed(files["report.html"]).rows) == {2, 5}  # models, buckets
    ElementTree.fromstring(files["curves.svg"])


def test_baseline_that_failed_leaves_the_values(tmp_path):
    results = fake_results.results(3, 2)
    for seed in results["seeds"]:
        fake_results.fail(results["models"][0], seed, "Killed")
    for model in results["models"][1:]:
        model["scores"]["perplexity"]["difference"] = None
    for bucket in results["buckets"]:
        del bucket["values"]["lstm"]
        bucket["differences"] = {}
    page = Parsed(written(results, tmp_path)["report.html"])
    assert "nothing to compare it with" in "".join(page.text)
    assert "perplexity by position in the sentence, perplexity, of lstmn, lstmn deep" in page.images


def test_hostile_names_are_text_everywhere(tmp_path):
    results = fake_results.results(len(HOSTILE), 2, names=HOSTILE)
    results["title"] = "</title><script>alert(1)</script>\n\\end{document}"
    results["errors"] = ["<object data=x> \\input{x}\n% | more"]
    for bucket in results["buckets"]:
        bucket["labels"][0] = '$x$ <b id="a"> url(#b)'
    files = written(results, tmp_path)
    page = Parsed(files["report.html"])
    assert not {"script", "b", "object"} & set(page.tags)
    for name in HOSTILE:
        assert page.text.count(name) >= len(page.rows)
    assert markdown_rows(files["report.md"]) == page.rows
    assert re.search(r'\| \\<b\\>\\&"x +\| baseline +\|', files["report.md"])
    svg = ElementTree.fromstring(files["curves.svg"])
    assert {name for name in HOSTILE if f"\u200b{name}" in list(svg.itertext())} == (
        set(HOSTILE) - {"x" * 90}
    )


def test_latex_is_escaped(tmp_path):
    results = fake_results.results(len(HOSTILE), 2, names=HOSTILE)
    results["title"] = "one\n\\end{document}"
    lines = written(results, tmp_path)["table.tex"].splitlines()
    start = lines.index(r"\midrule")
    assert all(line.startswith("% ") for line in lines[: lines.index(r"\toprule") - 1])
    names = [line.partition(" & ")[0].strip() for line in lines[start + 1 : start + 4]]
    assert names == [
        r"\ensuremath{<}b\ensuremath{>}\&\textquotedbl{}x",
        r"50\%\_\$a\$\#\{b\}\textasciitilde{}\^{}\textbackslash{}c",
        r"\_a\textbar{}b`{*}{[}c](d)\_",
    ]


def test_commands_end_their_own_block_only(tmp_path):
    results = fake_results.results()
    results["commands"][0]["command"] = "echo '```' # `````"
    text = written(results, tmp_path)["report.md"]
    fence = re.search("^`{6}sh$", text, re.M)
    assert fence and "\n``````\n" in text[fence.end() :]


def test_page_needs_nothing_else(tmp_path):
    """Its charts are images in it, the curves those of the file."""
    files = written(fake_results.results(4, 3), tmp_path)
    text, page = files["report.html"], Parsed(files["report.html"])
    assert not re.search(r"https?:|@import|url\(", text)
    assert "script" not in page.tags
    assert all(address.startswith("data:") for address in page.addresses)
    [curves, *bars] = [a.partition("svg+xml;base64,")[2] for a in page.addresses if "svg" in a]
    assert b64decode(curves).decode() == files["curves.svg"]
    assert len(bars) == 3 and len(page.images) == 4


def test_old_file_stays_where_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    before = written(fake_results.results(2, 2), tmp_path)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        report.write(fake_results.results(3, 3), tmp_path)
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == before
