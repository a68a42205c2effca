"""PNG and SVG: a file for each view, an SVG whose words are text, shades even for the eye."""

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from fairseq_lstmn.attend.outputs.figures import VIEWS, Figures
from fairseq_lstmn.attend.outputs.figures.shades import colour
from fairseq_lstmn.attend.outputs.visible import visible
from fairseq_lstmn.attend.scale import Scale, links
from tests.attend.test_page import language, pointer, translation


def files(folder, readings, formats=("svg",), limit=50):
    output = Figures(folder, set(formats), limit)
    for reading in readings:
        output.add(reading)
    output.close()
    return output, sorted(path.name for path in folder.iterdir())


def test_a_file_for_each_map_and_view(tmp_path):
    _, names = files(tmp_path, [translation()], ("png", "svg"))
    maps = "encoder-layer1", "encoder-layer1-backward", "fusion-layer1"
    assert names == sorted(
        f"0001-{found}-{view}.{ending}"
        for found in maps
        for view in VIEWS
        for ending in ("png", "svg")
    )


def test_lines_beyond_the_limit_are_not_drawn(tmp_path):
    output, names = files(tmp_path, [language(3), language(3, line=2)], limit=1)
    assert {name[:4] for name in names} == {"0001"}
    assert output.left_out == "The first 1 of 2 lines are drawn (--limit 1)"


@pytest.mark.parametrize("view", VIEWS)
def test_words_of_an_svg_are_text_and_lie_within_it(tmp_path, view):
    files(tmp_path, [language(25)])
    root = ElementTree.parse(tmp_path / f"0001-text-layer1-{view}.svg").getroot()
    words = [
        "".join(found.itertext()).strip() for found in root.iter() if found.tag.endswith("}text")
    ]
    assert set(language(25).texts["text"]) <= set(words)


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
    luminance = [np.dot(colour(k / 10), [0.2126, 0.7152, 0.0722]) for k in range(11)]
    steps = -np.diff(luminance)
    assert (steps > 0).all() and steps.max() < 1.5 * steps.min()


def test_the_scale_ends_at_twice_a_typical_peak():
    found = language(9).maps[0]
    found.weights[:] = np.tril(np.full((9, 9), 0.0625), -1)
    assert Scale(found).top == 0.12
    assert [Scale(found).shade(weight) for weight in (0, 0.06, 1)] == [0, pytest.approx(0.5), 1]


def test_links_are_the_strongest_of_each_token():
    found = language(9).maps[0]
    drawn = links(found)
    assert max(sum(t == row for t, *_ in drawn) for row in range(9)) == 3
    assert {t: s for t, s, _, strongest in drawn if strongest} == {
        t: found.weights[t].argmax() for t in range(1, 9)
    }
