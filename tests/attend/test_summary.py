"""What a model attends on the whole: against sums by hand on maps that are plain to see."""

import json

import numpy as np
import pytest

from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FORWARD, Map, Reading
from fairseq_lstmn.attend.summary import Summary
from tests.attend.readings import language, pointer, translation, write


def summary(folder, readings, formats=("json",)):
    return write(Summary(folder, {"model": "small"}, set(formats)), readings).result()


def within(weights, words, direction=FORWARD, **of_model):
    name = "text" if of_model else "source"
    attention = Map(name, 1, direction, name, name, np.array(weights, dtype=np.float32))
    return Reading({name: words}, [attention], **of_model)


NEAREST = np.eye(4, k=-1)


@pytest.mark.parametrize("weights, direction", [(NEAREST, FORWARD), (NEAREST.T, BACKWARD)])
def test_all_on_the_nearest(tmp_path, weights, direction):
    entry = summary(tmp_path, [within(weights, list("abcd"), direction)])["maps"][0]
    assert entry["rows"] == 2  # of the two others one has nothing to attend, one no choice
    assert entry["weight on the nearest"] == entry["weight on the strongest"] == 1
    assert entry["entropy in bits"] == 0
    assert entry["mean weight by distance"] == [1, 0, 0]


def test_uniform_attention(tmp_path):
    weights = np.tril(np.ones((5, 5)), -1) / np.arange(5).clip(min=1)[:, None]
    entry = summary(tmp_path, [within(weights, list("abcde"))] * 2)["maps"][0]
    assert entry["rows"] == 6
    assert entry["weight on the nearest"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3, abs=1e-4)
    assert entry["entropy in bits"] == pytest.approx(np.log2([2, 3, 4]).mean(), abs=1e-4)
    assert entry["entropy as share of uniform"] == 1
    assert entry["mean weight by distance"] == pytest.approx(
        [(1 / 2 + 1 / 3 + 1 / 4) / 3, (1 / 2 + 1 / 3 + 1 / 4) / 3, (1 / 3 + 1 / 4) / 2, 1 / 4],
        abs=1e-5,
    )


def test_attention_to_a_source(tmp_path):
    weights = np.array([[1, 0], [0.5, 0.5]], dtype=np.float32)
    attention = Map("fusion", 1, ACROSS, "target", "source", weights)
    reading = Reading({"target": ["x", "y"], "source": ["a", "b"]}, [attention])
    [entry] = summary(tmp_path, [reading])["maps"]
    assert entry["weight on the strongest"] == 0.75 and entry["entropy in bits"] == 0.5


def test_earlier_occurrences_of_a_word(tmp_path):
    """a b c a b: the second a attends the first and what followed it, the second b all."""
    weights = np.zeros((5, 5))
    weights[1, 0] = weights[2, 1] = 1
    weights[3, :3] = 0.7, 0.2, 0.1
    weights[4, :4] = 0.25
    reading = within(weights, list("abcab"), surprisals={"text": [None] * 5})
    entries = {one["attends"]: one for one in summary(tmp_path, [reading])["repeated words"]}
    read, behind, coming = entries.values()
    assert (read["steps"], read["weight"]) == (2, pytest.approx((0.7 + 0.25) / 2))
    assert (behind["steps"], behind["weight"]) == (2, pytest.approx((0.2 + 0.25) / 2))
    # c is followed by a, the second a by b
    assert (coming["steps"], coming["weight"]) == (2, pytest.approx((0 + 0.2) / 2))
    # rows of 3 and 4 places are alike: at distance 3 there is 0.7 and 0.25
    assert read["weight by distance alone"] == pytest.approx((0.7 + 0.25) / 2)


def test_layers_without_a_tape_are_left_out(tmp_path):
    result = summary(tmp_path, [pointer(9), pointer(7)])
    assert [entry["map"] for entry in result["maps"]] == ["text, layer 2", "text, layer 3"]
    assert {entry["map"] for entry in result["repeated words"]} == {
        "text, layer 2",
        "text, layer 3",
    }


def test_a_model_without_any_tape_is_counted_all_the_same(tmp_path):
    reading = pointer(9)
    [entry] = summary(tmp_path, [reading._replace(maps=reading.maps[:1])])["maps"]
    assert entry["map"] == "text, layer 1 (LSTM)" and entry["weight on the nearest"] == 1


def test_only_language_models_are_asked_for_repeated_words(tmp_path):
    assert summary(tmp_path, [translation()])["repeated words"] == []


def test_files_and_lines_that_could_not_be_read(tmp_path):
    readings = [language(9, 2), Reading(error="not UTF-8 text"), language(60, 2)]
    result = summary(tmp_path, readings, ("json", "png", "svg"))
    assert (result["lines"], result["lines that could not be read"]) == (2, 1)
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8")) == result
    assert {path.name for path in tmp_path.iterdir()} == {
        "summary.json",
        "summary.png",
        "summary.svg",
    }


def test_a_picture_without_attention_within_a_text(tmp_path):
    reading = translation()
    summary(tmp_path, [reading._replace(maps=reading.maps[-1:])], ("png",))
    assert (tmp_path / "summary.png").exists()
