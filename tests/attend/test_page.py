"""attention.html in a browser: keyboard and pointer, both schemes, nothing leaves it."""

import json

import numpy as np
import pytest

from fairseq_lstmn.attend.outputs.page import Page
from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FORWARD, Map, Reading
from tests import chromium

ABOUT = {"checkpoint": "model.pt", "model": "LSTMNLanguageModel"}
VIEWS = "reading", "arcs", "matrix"
SCHEMES = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}
WIDTHS = 400, 1400
HOSTILE = (
    "</script><script>document.title = 'gone'</script>",
    "<img src=http://127.0.0.1:9/x>",
    "&lt;",
)

needs_browser = pytest.mark.skipif(
    chromium.EXECUTABLE is None, reason="needs Chromium (Debian's package: chromium)"
)


def weights(rows, columns, direction, seed=0):
    """Random weights whose rows sum to one where a token may look."""
    drawn = np.random.default_rng(seed).exponential(size=(rows, columns)) ** 3
    drawn = {FORWARD: np.tril(drawn, -1), BACKWARD: np.triu(drawn, 1), ACROSS: drawn}[direction]
    return (drawn / drawn.sum(axis=1, keepdims=True).clip(min=1e-9)).astype(np.float32)


def language(tokens, layers=1, line=1):
    """A reading of a language model."""
    words = [f"word{k}"[: 2 + k % 7] for k in range(tokens)]
    maps = [
        Map("text", k, FORWARD, "text", "text", weights(tokens, tokens, FORWARD, k))
        for k in range(1, layers + 1)
    ]
    bits = [None, *(k % 13 + 0.5 for k in range(tokens - 1))]
    return Reading({"text": words}, maps, {"text": [1]}, {"text": bits}, line=line)


def pointer(tokens=9, line=1):
    """A reading of a language model whose first layer is an LSTM."""
    lstm, *others = language(tokens, layers=3).maps
    lstm = lstm._replace(weights=np.eye(tokens, k=-1, dtype=np.float32), is_lstm=True)
    return language(tokens, line=line)._replace(maps=[lstm, *others])


def translation(line=1):
    source, target = "der Hund bellt </s>".split(), "the dog barks loudly </s>".split()
    maps = [
        Map("encoder", 1, FORWARD, "source", "source", weights(4, 4, FORWARD)),
        Map("encoder", 1, BACKWARD, "source", "source", weights(4, 4, BACKWARD)),
        Map("fusion", 1, ACROSS, "target", "source", weights(5, 4, ACROSS)),
    ]
    texts = {"source": source, "target": target}
    bits = {"target": [1.0, 2.0, 3.0, 4.0, 5.0]}
    return Reading(texts, maps, surprisals=bits, alignment=[0, 1, 2, 2, 3], line=line)


def written(folder, readings, limit=50):
    page = Page(folder, ABOUT, limit)
    for reading in readings:
        page.add(reading)
    page.close()
    return page


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
    with chromium.browser() as opened:
        yield opened


@pytest.fixture
def show(browser, tmp_path):
    """Writes a page and opens it."""

    def shown(*readings, width=1400, scheme="light"):
        written(tmp_path, readings)
        address = (tmp_path / "attention.html").as_uri()
        browser.look(width, scheme=scheme)
        browser.events.clear()
        browser.open(address)
        assert browser.requests() == [address]
        return browser

    yield shown
    assert browser.complaints() == []
    assert len(browser.requests()) == 1


def choose(page, selector, value):
    page.value(
        f"(found => {{ found.value = '{value}'; found.dispatchEvent(new Event('change')) }})"
        f"(document.querySelector('{selector}'))"
    )


def view(page, name):
    page.value(f"document.querySelector('[value={name}]').click()")


def press(page, *keys):
    for key in keys:
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)


def mouse(page, selector, *kinds):
    """Move the pointer to the middle of an element; then what ``kinds`` say."""
    x, y = page.value(
        f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    for kind in ("mouseMoved", *kinds):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def numbers(page):
    return page.value("document.getElementById('numbers').innerText")


@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_view_fits(show, width, scheme):
    page = show(language(5), language(25, 3), language(80, 3), translation(), width=width,
                scheme=scheme)  # fmt: skip
    assert page.value("getComputedStyle(document.body).backgroundColor") == SCHEMES[scheme]
    for line in range(4):
        choose(page, "#line", line)
        for name in VIEWS:
            view(page, name)
            assert page.value("document.documentElement.scrollWidth") <= width
            assert page.value("document.querySelector('#view').childElementCount") == 1


@needs_browser
def test_keys_walk_through_the_words_and_escape_lets_go(show):
    page = show(language(5))
    hint = numbers(page)
    press(page, "ArrowRight", "ArrowRight", "ArrowRight")
    assert "word2"[:4] in numbers(page) and "surprisal 1.50 bits" in numbers(page)
    assert "attends" in numbers(page) and "is attended by" in numbers(page)
    assert page.value("document.activeElement.dataset.at") == "2"
    press(page, "ArrowLeft")
    assert page.value("document.activeElement.dataset.at") == "1"
    assert "unknown to the model" in numbers(page)
    press(page, "End")
    assert page.value("document.querySelectorAll('.reads.on').length") == 1
    assert page.value("document.activeElement.dataset.at") == "4"
    press(page, "Escape")
    assert numbers(page) == hint
    assert page.value("document.querySelectorAll('.on').length") == 0


@needs_browser
def test_keys_go_from_text_to_text(show):
    page = show(translation())
    choose(page, "#map", 2)
    press(page, "ArrowRight", "ArrowRight", "ArrowDown")
    assert page.value("document.activeElement.textContent") == "Hund"
    press(page, "ArrowUp")
    assert "dog" in page.value("document.activeElement.textContent")


@needs_browser
@pytest.mark.parametrize("name", VIEWS)
def test_pointing_shows_and_a_click_holds(show, name):
    page = show(language(5))
    view(page, name)
    mouse(page, "#view [data-at='3']")
    assert numbers(page).startswith("word") and "held" not in numbers(page)
    third = numbers(page)
    mouse(page, "#words [data-at='1']", "mousePressed", "mouseReleased")
    assert "held" in numbers(page)
    mouse(page, "#view [data-at='3']")
    assert "held" in numbers(page) and "unknown" in numbers(page)
    press(page, "Escape")
    mouse(page, "#view [data-at='1']")
    mouse(page, "#view [data-at='3']")
    assert numbers(page) == third


@needs_browser
def test_the_page_has_the_weights_within_a_byte(show):
    page = show(translation(), language(7))
    for line, reading in enumerate((translation(), language(7))):
        choose(page, "#line", line)
        for number, found in enumerate(reading.maps):
            choose(page, "#map", number)
            rows, columns = found.weights.shape
            seen = page.value(
                f"Array.from({{length: {rows}}}, (_, t) => Array.from({{length: {columns}}}, "
                "(_, s) => shown.weights.at(t, s)))"
            )
            assert np.abs(np.array(seen) - found.weights).max() <= 1 / 255


@needs_browser
def test_the_slider_hides_weak_links(show):
    page = show(language(25))
    view(page, "arcs")
    counts = []
    for limit in (0, 0.1, 0.5):
        page.value(
            f"find('limit').value = {limit}, find('limit').dispatchEvent(new Event('input'))"
        )
        counts.append(page.value("document.querySelectorAll('.link').length"))
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 3


@needs_browser
def test_a_table_stands_in_for_the_pictures(show):
    page = show(language(25))
    page.value("document.querySelector('details').open = true")
    assert page.value("document.querySelector('#table tbody').rows.length") == 25
    for name in ("arcs", "matrix"):
        view(page, name)
        tree = page.call("Accessibility.getFullAXTree")["nodes"]
        images = [node["name"]["value"] for node in tree if node["role"]["value"] == "image"]
        assert any("table" in name for name in images) and all(images)


CHOSEN_MAP = "find('map').selectedOptions[0].textContent"


@needs_browser
def test_the_page_opens_at_the_top_layer_with_a_tape(show):
    page = show(pointer(), pointer(5, line=2))
    assert page.value(CHOSEN_MAP) == "text, layer 3"
    assert page.value("[...find('map').options].map(({ text }) => text)") == [
        "text, layer 1 (LSTM)",
        "text, layer 2",
        "text, layer 3",
    ]
    choose(page, "#map", 1)
    choose(page, "#line", 1)
    assert page.value(CHOSEN_MAP) == "text, layer 2"  # what was chosen stays


@needs_browser
def test_looks_have_a_legend(show):
    page = show(language(5), translation())
    legend = page.value("find('legend').innerText")
    assert "unknown to the model" in legend and "surprisal in bits" in legend
    sample = "document.querySelector('#legend .unknown > span')"
    assert page.value(f"getComputedStyle({sample}).textDecorationStyle") == "dotted"
    choose(page, "#line", 1)
    legend = page.value("find('legend').innerText")
    assert "attends it" in legend and "unknown" not in legend and "surprisal" not in legend


@needs_browser
def test_what_is_counted_are_tokens(show):
    reading = language(5)
    reading.texts["text"][:] = ["w@@", "or@@", "d", "s@@", "."]
    page = show(reading)
    assert page.value("document.querySelector('aside svg').textContent").endswith("in tokens")
    page.value("document.querySelector('details').open = true")
    assert "word" not in page.value("document.body.innerText")
    press(page, "ArrowRight", "ArrowRight")
    assert "word" not in page.value("document.body.innerText")


@needs_browser
def test_tokens_that_have_no_shape_are_named(show):
    joined = "\u0645\u06cc\u200c\u0631\u0648\u062f"  # Persian, as it is written
    reading = language(5)
    reading.texts["text"][1:] = ["\u200b", "x\u00ady", "\ufe0f", joined]
    page = show(reading)
    tokens = page.value(
        "[...document.querySelectorAll('#words .word > span')].map(w => w.innerText)"
    )
    assert tokens[1:] == ["U+200B", "xU+00ADy", "U+FE0F", joined]
    assert "1: wo U+200B" in page.value("find('line').options[0].text")


@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
def test_long_tokens_are_not_cut_off(show, width):
    reading = language(5)
    reading.texts["text"][2] = "https://example.org/" + "x" * 300
    page = show(reading, width=width)
    page.value("document.querySelector('details').open = true")
    press(page, "ArrowRight", "ArrowRight", "ArrowRight")
    table = ["#table"] if width >= 800 else []  # a phone has it in a box to be scrolled
    for part in ("#words", "#numbers", "#view", *table):
        box = f"document.querySelector('{part}')"
        assert page.value(f"{box}.scrollWidth <= {box}.clientWidth"), part
    for name in VIEWS:
        view(page, name)
        assert page.value("document.documentElement.scrollWidth") <= width


@needs_browser
def test_words_are_never_markup(show):
    reading = language(5)
    reading.texts["text"][2:] = HOSTILE
    page = show(reading)
    for name in VIEWS:
        view(page, name)
    assert page.value("document.title") == "What LSTMNLanguageModel attends"
    assert page.value("JSON.stringify(shown.line.texts.text.slice(2))") == json.dumps(
        list(HOSTILE), separators=(",", ":")
    )


@needs_browser
def test_a_line_that_could_not_be_read_says_so(show):
    page = show(language(5), Reading(error="not UTF-8 text", line=2))
    choose(page, "#line", 1)
    assert "not UTF-8 text" in page.value("document.querySelector('#error').innerText")
    view(page, "matrix")
    press(page, "ArrowRight", "Escape")
    choose(page, "#line", 0)
    assert page.value("document.querySelector('#view svg') !== null")


@needs_browser
@pytest.mark.parametrize("name", VIEWS)
def test_a_long_text_answers_the_pointer_at_once(show, name):
    """The pointer changes elements that are there; a view drawn anew would add thousands."""
    page = show(language(80, 3))
    view(page, name)
    changes = page.value(
        "(() => { const seen = new MutationObserver(() => {});"
        "seen.observe(document.body, {subtree: true, childList: true, attributes: true});"
        "return Array.from({length: 30}, (_, k) => { choose({text: 'text', at: 79 - k});"
        "const records = seen.takeRecords();"
        "return [records.length, records.reduce((sum, r) => sum + r.addedNodes.length, 0)] }) })()"
    )
    assert max(records for records, _ in changes) < 3 * 80  # the matrix alone has 3,240 cells
    assert max(added for _, added in changes) <= 3
