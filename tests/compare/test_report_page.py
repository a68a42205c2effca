"""report.html in a browser: nothing leaves it, nothing is wrong with it, it fits a phone."""

import pytest

from fairseq_lstmn.compare import report
from tests.browser import launched, watched
from tests.compare import fake_results
from tests.compare.test_report import HOSTILE

WIDTHS = (400, 1400)  # CSS pixels
SCREENS = (800, 1300)
LONG = [f"transformer_lm_gpt2_small_with_a_long_name_{k}" for k in range(8)]
SCHEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
ROWS = "[...document.querySelectorAll('table')].map(table => table.tBodies[0].rows.length)"


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


@pytest.fixture
def show(browser, tmp_path):
    """Writes a report and opens its page."""
    with watched(browser, (tmp_path / "report.html").as_uri()) as opened:

        def shown(results, width=400, scheme="light"):
            report.write(results, tmp_path)
            return opened(width, scheme)

        yield shown


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "models, seeds, kind", [(2, 1, "reading"), (2, 3, "translation"), (8, 5, "language")]
)
def test_page(show, models, seeds, kind, width, scheme):
    page = show(fake_results.results(models, seeds, kind, tuned=True), width, scheme)
    rows = page.evaluate(ROWS)
    assert rows and min(rows) > 0
    assert fits(page, width)
    assert style(page, "body", "backgroundColor") == SCHEMES[scheme]
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert fits(page, width)


def fits(page, width):
    """Whether the page itself need not be scrolled sideways."""
    return page.evaluate("document.documentElement.scrollWidth") <= width


def style(page, selector, name):
    """Of the first element that ``selector``, without double quotes, finds."""
    return page.evaluate(f'getComputedStyle(document.querySelector("{selector}")).{name}')


def test_hostile_names_and_long_errors_fit_and_do_nothing(show):
    results = fake_results.results(len(HOSTILE), 2, names=HOSTILE)
    results["title"] = "<script>document.title = 'gone'</script>" + "x" * 200
    results["errors"] = ["y" * 300 + "<img src=http://127.0.0.1:9/x.png>"]
    page = show(results)
    assert fits(page, 400)
    assert page.title().startswith("<script>")
    assert page.evaluate("document.querySelector('main').firstElementChild.role") == "alert"


def test_text_is_large_enough(show):
    page = show(fake_results.results(2, 2))
    for selector in ("p", ".verdicts li", "td", "summary", "dd"):
        assert float(style(page, selector, "fontSize")[:-2]) >= 16


@pytest.mark.parametrize("width", SCREENS)
@pytest.mark.parametrize(
    "models, seeds, kind, names",
    [
        (3, 3, "language", fake_results.NAMES),
        (8, 8, "reading", fake_results.NAMES),
        (8, 5, "reading", LONG),
        (2, 2, "reading", ["w" * 90, "x" * 90]),
    ],
)
def test_no_table_is_cut_off_on_a_screen(show, models, seeds, kind, names, width):
    results = fake_results.results(models, seeds, kind, tuned=True, names=names)
    fake_results.fail(results["models"][1], 2, "RuntimeError: " + "the sizes do not match " * 5)
    results["models"][0]["options"]["encoder-embed-path"] = "/data/vectors/" + "glove." * 20
    results["trials"][0]["options"] = {"dropout": 0.1, "lr": 0.004, "decoder-hidden-size": 300}
    for bucket in results["buckets"]:
        many = [f"class {k}" for k in range(50)]
        bucket.update(labels=many, counts=[1204] * 50)
        for values in (bucket["values"], bucket["differences"]):
            values.update({name: (numbers * 50)[:50] for name, numbers in values.items()})
    page = show(results, width)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    cut_off = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => `${box.ariaLabel}: ${box.scrollWidth} of ${box.clientWidth}`)"
    )
    assert cut_off == []


def test_one_validation_is_no_curve(show):
    results = fake_results.results(3, 2)
    for model in results["models"]:
        for run in model["runs"]:
            run["curve"] = run["curve"][3:4]
    page = show(results)
    headings = "[...document.querySelectorAll('h2')].map(one => one.textContent)"
    assert "Validation" in page.evaluate(headings) and "Learning curves" not in page.evaluate(
        headings
    )


def test_wide_tables_scroll_in_their_own_box(show):
    page = show(fake_results.results(8, 5))
    box = "document.querySelector('.scroll')"
    assert page.evaluate(f"{box}.scrollWidth > {box}.clientWidth")
    assert page.evaluate(f"{box}.scrollLeft = 200, {box}.scrollLeft") == 200
    name = page.evaluate(f"{box}.querySelector('tbody th').getBoundingClientRect().left")
    assert 0 <= name <= 32  # it stays in sight


def test_charts_have_an_alternative(show):
    page = show(fake_results.results(3, 2))
    images = page.get_by_role("img", name="lstmn deep").count()
    shown = "[...document.images].filter(image => image.naturalWidth > 0).length"
    assert images == page.evaluate(shown) == 4
