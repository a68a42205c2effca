"""attention.html in a browser: keyboard and pointer, both schemes, nothing leaves it."""

import numpy as np
import pytest

from fairseq_lstmn.attend.page import Page
from fairseq_lstmn.attend.reading import Reading
from tests.attend.readings import even, language, pointer, translation, write
from tests.browser import launched, watched

ABOUT = {"checkpoint": "model.pt", "model": "LSTMNLanguageModel"}
VIEWS = "reading", "arcs", "matrix"
SCHEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
WIDTHS = 400, 1400
HOSTILE = (
    "</script><script>document.title = 'gone'</script>",
    "<img src=http://127.0.0.1:9/x>",
    "&lt;",
)


def written(folder, readings, limit=50):
    return write(Page(folder, ABOUT, limit), readings)


def test_a_page_of_35_tokens_is_small_and_grows_with_what_it_shows(tmp_path):
    sizes = []
    for tokens, layers in ((35, 1), (35, 2), (35, 3)):
        written(tmp_path, [language(tokens, layers)])
        sizes.append((tmp_path / "attention.html").stat().st_size)
    assert sizes[0] < 50_000
    triangle = 35 * 34 / 2
    assert all(b - a < triangle * 4 / 3 + 150 for a, b in zip(sizes, sizes[1:]))


def test_lines_that_are_left_out_are_said(tmp_path):
    page = written(tmp_path, [language(5, line=k) for k in range(1, 5)], limit=3)
    assert page.left_out == "The first 3 of 4 lines are drawn (--limit 3)"
    assert page.left_out in (tmp_path / "attention.html").read_text(encoding="utf-8")
    assert written(tmp_path, [language(5)]).left_out is None


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


@pytest.fixture
def show(browser, tmp_path):
    """Writes a page and opens it."""
    with watched(browser, (tmp_path / "attention.html").as_uri()) as opened:

        def shown(*readings, width=1400, scheme="light"):
            written(tmp_path, readings)
            return opened(width, scheme)

        yield shown


def unfold(page):
    page.evaluate("document.querySelector('details').open = true")


def view(page, name):
    page.dispatch_event(f"[value={name}]", "click")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def numbers(page):
    return page.inner_text("#numbers")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_view_fits(show, width, scheme):
    shown = language(5), language(25, 3), language(80, 3), translation()
    page = show(*shown, width=width, scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == SCHEMES[scheme]
    for line in range(4):
        page.select_option("#line", str(line))
        for name in VIEWS:
            view(page, name)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("#view > *").count() == 1


def test_keys_walk_through_the_words_and_escape_lets_go(show):
    page = show(language(5))
    hint = numbers(page)
    press(page, "ArrowRight", "ArrowRight", "ArrowRight")
    assert "word2"[:4] in numbers(page) and "surprisal 1.50 bits" in numbers(page)
    assert "attends" in numbers(page) and "is attended by" in numbers(page)
    assert page.evaluate("document.activeElement.dataset.at") == "2"
    press(page, "ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.at") == "1"
    assert "unknown to the model" in numbers(page)
    press(page, "End")
    assert page.locator(".reads.on").count() == 1
    assert page.evaluate("document.activeElement.dataset.at") == "4"
    press(page, "Escape")
    assert numbers(page) == hint
    assert page.locator(".on").count() == 0


def test_keys_go_from_text_to_text(show):
    page = show(translation())
    page.select_option("#map", "2")
    press(page, "ArrowRight", "ArrowRight", "ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "Hund"
    press(page, "ArrowUp")
    assert "dog" in page.evaluate("document.activeElement.textContent")


@pytest.mark.parametrize("name", VIEWS)
def test_pointing_shows_and_a_click_holds(show, name):
    page = show(language(5))
    view(page, name)
    page.locator("#view [data-at='3']").first.hover()
    assert numbers(page).startswith("word") and "held" not in numbers(page)
    third = numbers(page)
    page.locator("#words [data-at='1']").first.click()
    assert "held" in numbers(page)
    page.locator("#view [data-at='3']").first.hover()
    assert "held" in numbers(page) and "unknown" in numbers(page)
    press(page, "Escape")
    page.locator("#view [data-at='1']").first.hover()
    page.locator("#view [data-at='3']").first.hover()
    assert numbers(page) == third


def test_the_page_has_the_weights_within_a_byte_and_their_scale(show):
    shown = translation(), language(7), language(8), even()
    page = show(*shown)
    for line, reading in enumerate(shown):
        page.select_option("#line", str(line))
        for number, attention in enumerate(reading.maps):
            page.select_option("#map", str(number), force=True)  # hidden where there is one
            rows, columns = attention.weights.shape
            seen = page.evaluate(
                f"Array.from({{length: {rows}}}, (_, t) => Array.from({{length: {columns}}}, "
                "(_, s) => shown.weights.at(t, s)))"
            )
            assert np.abs(np.array(seen) - attention.weights).max() <= 1 / 255
            assert page.evaluate("shown.weights.top") == attention.top
    assert page.inner_text("#top") == "0.12 or more"
    for name in ("reading", "matrix"):
        view(page, name)
        shade = page.locator("#view .shade").last.evaluate(
            "({style}) => style.getPropertyValue('--w')"
        )
        assert float(shade) == pytest.approx(0.0625 / 0.12, abs=0.01)


def test_the_slider_hides_weak_links(show):
    page = show(language(25))
    view(page, "arcs")
    counts = []
    for limit in (0, 0.1, 0.5):
        page.fill("#limit", str(limit))
        counts.append(page.locator(".link").count())
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 3


def test_a_table_stands_in_for_the_pictures(show):
    page = show(language(25))
    unfold(page)
    assert page.locator("#table tbody tr").count() == 25
    for name in ("arcs", "matrix"):
        view(page, name)
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        images = [node["name"]["value"] for node in tree if node["role"]["value"] == "image"]
        assert any("table" in name for name in images) and all(images)


def test_the_page_opens_at_the_top_layer_with_a_tape(show):
    page = show(pointer(), pointer(5, line=2))
    assert page.inner_text("#map option:checked") == "text, layer 3"
    titles = [f"text, layer {k}" for k in (1, 2, 3)]
    assert page.locator("#map option").all_inner_texts() == [f"{titles[0]} (LSTM)", *titles[1:]]
    page.select_option("#map", "1")
    page.select_option("#line", "1")
    assert page.inner_text("#map option:checked") == "text, layer 2"  # what was chosen stays


def test_looks_have_a_legend(show):
    page = show(language(5), translation())
    legend = page.inner_text("#legend")
    assert "unknown to the model" in legend and "surprisal in bits" in legend
    look = page.locator("#legend .unknown > span").evaluate("sample => getComputedStyle(sample)")
    assert look["textDecorationStyle"] == "dotted"
    page.select_option("#line", "1")
    legend = page.inner_text("#legend")
    assert "attends it" in legend and "unknown" not in legend and "surprisal" not in legend


def test_what_is_counted_are_tokens(show):
    reading = language(5)
    reading.texts["text"][:] = ["w@@", "or@@", "d", "s@@", "."]
    page = show(reading)
    assert page.text_content("aside svg").endswith("in tokens")
    unfold(page)
    assert "word" not in page.inner_text("body")
    press(page, "ArrowRight", "ArrowRight")
    assert "word" not in page.inner_text("body")


def test_tokens_that_have_no_shape_are_named(show):
    joined = "\u0645\u06cc\u200c\u0631\u0648\u062f"  # Persian, as it is written
    reading = language(5)
    reading.texts["text"][1:] = ["\u200b", "x\u00ady", "\ufe0f", joined]
    page = show(reading)
    tokens = page.locator("#words .word > span").all_inner_texts()
    assert tokens[1:] == ["U+200B", "xU+00ADy", "U+FE0F", joined]
    assert "1: wo U+200B" in page.locator("#line option").first.inner_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_long_tokens_are_not_cut_off(show, width):
    reading = language(5)
    reading.texts["text"][2] = "https://example.org/" + "x" * 300
    page = show(reading, width=width)
    unfold(page)
    press(page, "ArrowRight", "ArrowRight", "ArrowRight")
    table = ["#table"] if width >= 800 else []  # a phone has it in a box to be scrolled
    for part in ("#words", "#numbers", "#view", *table):
        assert page.locator(part).evaluate("box => box.scrollWidth <= box.clientWidth"), part
    for name in VIEWS:
        view(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_words_are_never_markup(show):
    reading = language(5)
    reading.texts["text"][2:] = HOSTILE
    page = show(reading)
    for name in VIEWS:
        view(page, name)
    assert page.title() == "What LSTMNLanguageModel attends"
    assert page.evaluate("shown.line.texts.text.slice(2)") == list(HOSTILE)


def test_a_line_that_could_not_be_read_says_so(show):
    page = show(language(5), Reading(error="not UTF-8 text", line=2))
    page.select_option("#line", "1")
    assert "not UTF-8 text" in page.inner_text("#error")
    view(page, "matrix")
    press(page, "ArrowRight", "Escape")
    page.select_option("#line", "0")
    assert page.locator("#view svg").count() == 1


@pytest.mark.parametrize("name", VIEWS)
def test_a_long_text_answers_the_pointer_at_once(show, name):
    """The pointer changes elements that are there; a view drawn anew would add thousands."""
    page = show(language(80, 3))
    view(page, name)
    changes = page.evaluate(
        "() => { const seen = new MutationObserver(() => {});"
        "seen.observe(document.body, {subtree: true, childList: true, attributes: true});"
        "return Array.from({length: 30}, (_, k) => { choose({text: 'text', at: 79 - k});"
        "const records = seen.takeRecords();"
        "return [records.length, records.reduce((sum, r) => sum + r.addedNodes.length, 0)] }) }"
    )
    assert max(records for records, _ in changes) < 3 * 80  # the matrix alone has 3,240 cells
    assert max(added for _, added in changes) <= 3
