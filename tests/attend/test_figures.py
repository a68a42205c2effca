"""PNG and SVG: a file for each view, an SVG whose words are text, shades even for the eye."""

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex

from fairseq_lstmn.attend.figures import VIEWS, Figures, shades
from fairseq_lstmn.attend.visible import visible
from tests.attend.readings import even, language, pointer, translation, write


def files(folder, readings, formats=("svg",), limit=50):
    output = write(Figures(folder, set(formats), limit), readings)
    return output, sorted(path.name for path in folder.iterdir())


def words_and_box(path):
    """The words of an SVG with their places, and its width and height."""
    root = ElementTree.parse(path).getroot()
    words = {}
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        words["".join(text.itertext()).strip()] = float(text.get("x")), float(text.get("y"))
    return words, [float(size) for size in root.get("viewBox").split()[2:]]


def test_a_file_for_each_map_and_view(tmp_path):
    _, names = files(tmp_path, [translation()], ("png", "svg"))
    maps = "encoder-layer1", "encoder-layer1-backward", "fusion-layer1"
    assert names == sorted(
        f"0001-{name}-{view}.{ending}"
        for name in maps
        for view in VIEWS
        for ending in ("png", "svg")
    )


def test_lines_beyond_the_limit_are_not_drawn(tmp_path):
    output, names = files(tmp_path, [language(3), language(3, line=2)], limit=1)
    assert {name[:4] for name in names} == {"0001"}
    assert output.left_out == "The first 1 of 2 lines are drawn (--limit 1)"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("tokens", [2, 25])
def test_words_of_an_svg_are_text_and_lie_within_it(tmp_path, view, tokens):
    files(tmp_path, [language(tokens)])
    words, (width, height) = words_and_box(tmp_path / f"0001-text-layer1-{view}.svg")
    assert set(language(tokens).texts["text"]) <= set(words)
    assert all(0 <= x <= width and 0 <= y <= height for x, y in words.values())


def test_the_same_is_drawn_the_same(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files(tmp_path / name, [language(5)])
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_words_may_hold_dollars_and_any_script(tmp_path):
    reading = language(4)
    reading.texts["text"][1:] = ["$x_1$", "日本語", "<&>"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that a font lacks is no news to who draws
        files(tmp_path, [reading], ("png", "svg"))


def test_layers_without_a_tape_are_not_drawn(tmp_path):
    _, names = files(tmp_path, [pointer()])
    assert {name[:16] for name in names} == {"0001-text-layer2", "0001-text-layer3"}


def test_tokens_that_have_no_shape_are_named(tmp_path):
    reading = language(4)
    reading.texts["text"][2] = "\u200b"
    files(tmp_path, [reading])
    for view in VIEWS:
        assert "U+200B" in (tmp_path / f"0001-text-layer1-{view}.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "token, text",
    [
        ("word", "word"),
        ("▁the", "▁the"),
        ("very good", "very good"),
        (" ", "U+0020"),
        ("\u200b", "U+200B"),
        ("\u200d", "U+200D"),  # a joiner with nothing to join
        ("नि\u200dर", "नि\u200dर"),
        ("❤\ufe0f", "❤\ufe0f"),
        ("\ufe0f", "U+FE0F"),
        ("a\u202eb", "aU+202Eb"),  # would turn the order of what follows
        ("\xa0", "U+00A0"),
        ("\x07", "U+0007"),
        ("\u3164", "U+3164"),
    ],
)
def test_visible(token, text):
    assert visible(token) == text


def test_shades_are_even():
    luminance = [np.dot(shades()(k / 10)[:3], [0.2126, 0.7152, 0.0722]) for k in range(11)]
    steps = -np.diff(luminance)
    assert (steps > 0).all() and steps.max() < 1.5 * steps.min()


def test_the_scale_ends_at_twice_a_typical_peak(tmp_path):
    reading = even()
    reading.maps[0].weights[8, 0] = 1
    assert reading.maps[0].top == 0.12
    files(tmp_path, [reading])
    for view in ("reading", "matrix"):
        drawn = (tmp_path / f"0001-text-layer1-{view}.svg").read_text(encoding="utf-8")
        assert "0.12 or more" in drawn
        for weight in (0.0625, 1):
            assert f"fill: {to_hex(shades()(weight / 0.12))}" in drawn


def test_links_are_the_strongest_of_each_token():
    [attention] = language(9).maps
    links = attention.links()
    assert max(sum(t == row for t, *_ in links) for row in range(9)) == 3
    assert {t: s for t, s, _, strongest in links if strongest} == {
        t: attention.weights[t].argmax() for t in range(1, 9)
    }
    assert [link.weight for link in links] == sorted(link.weight for link in links)
