"""Labels of sentence_prediction, and regression's numbers, held against what is predicted."""

from types import SimpleNamespace

import pytest
from fairseq.data import Dictionary
from fairseq.data.indexed_dataset import make_builder, make_dataset

from fairseq_lstmn.data import labels
from fairseq_lstmn.errors import InputError


@pytest.fixture
def dictionary():
    """Labels as fairseq's task loads them, once fairseq-preprocess has padded them."""
    labels = Dictionary()
    for label in ("neg", "pos", "so-so"):
        labels.add_symbol(label)
    labels.finalize(padding_factor=8)
    labels.add_symbol("<mask>")
    assert len(labels) == 4 + 4 + 1
    return labels


def task(dictionary, number, regression=False, data="folder"):
    cfg = SimpleNamespace(num_classes=number, regression_target=regression, data=str(data))
    return SimpleNamespace(cfg=cfg, label_dictionary=dictionary)


def test_what_fairseq_adds_is_no_label(dictionary):
    assert labels.labels(dictionary) == ["neg", "pos", "so-so"]
    assert labels.outputs(task(dictionary, 3)) == ["neg", "pos", "so-so"]


@pytest.mark.parametrize("number", [1, 2, 4, 5, 50])
def test_too_many_and_too_few_classes_are_told(dictionary, number):
    complaint = rf"--num-classes {number}: folder/label/dict.txt has 3 labels \(neg, pos, so-so\)"
    with pytest.raises(InputError, match=complaint):
        labels.classes(task(dictionary, number))


def test_numbers_have_no_classes(dictionary):
    words = dictionary  # fairseq has the text's there
    assert labels.outputs(task(words, 1, regression=True)) == ["value"]
    assert labels.outputs(task(words, 3, regression=True)) == ["value", "value2", "value3"]
    with pytest.raises(InputError, match="--regression-target"):
        labels.classes(task(words, 1, regression=True))


@pytest.mark.parametrize("kind", ["mmap", "cached", "lazy"])
def test_rows_without_a_class_are_told_in_each_format(tmp_path, dictionary, kind):
    lines = ["pos", "neg", "so-so", "unheard-of", "", "pos neg", "<mask>", "pos"]
    builder = make_builder(str(tmp_path / "label.bin"), kind, vocab_size=len(dictionary))
    for line in lines:
        builder.add_item(dictionary.encode_line(line, add_if_not_exist=False).long())
    builder.finalize(str(tmp_path / "label.idx"))
    rows = make_dataset(str(tmp_path / "label"), kind, fix_lua_indexing=True)
    assert labels.without_class(rows, dictionary, 3).tolist() == [3, 4, 5, 6]
    assert labels.without_class(rows, dictionary, 2).tolist() == [2, 3, 4, 5, 6]


def test_a_part_without_rows_has_none_without_a_class(dictionary):
    assert labels.without_class([], dictionary, 3).tolist() == []


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("1.5\n2\n", None),
        ("-1e3\n", None),
        ("1\n2 3\n", "train.label: line 2 has 2 numbers, but --num-classes is 1"),
        ("1\n\n2\n", "train.label: line 2 has 0 numbers"),
        ("1\nhigh\n", "train.label: line 2: high: is no number"),
        ("nan\n", "train.label: line 1: nan: is no number"),
        (b"\xff\n", "train.label: cannot be read"),
        (None, "train.label: cannot be read"),
    ],
)
def test_each_row_has_its_finite_number(tmp_path, dictionary, text, complaint):
    (tmp_path / "label").mkdir()
    if text is not None:
        text = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "label" / "train.label").write_bytes(text)
    regression = task(dictionary, 1, regression=True, data=tmp_path)
    if complaint is None:
        labels.check_numbers(regression, "train")
    else:
        with pytest.raises(InputError, match=complaint):
            labels.check_numbers(regression, "train")
