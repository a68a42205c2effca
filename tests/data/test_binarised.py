"""Data folders that are not as they were left: each fault is named in one line."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from fairseq.data import Dictionary, data_utils
from fairseq.data.indexed_dataset import MMapIndexedDatasetBuilder
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from fairseq_lstmn.data import binarised
from fairseq_lstmn.errors import InputError

SENTENCES = [[5, 6, 2], [7, 2], [5, 5, 5, 2]]


@pytest.fixture
def text(tmp_path):
    """The path of binarised text, without its endings."""
    builder = MMapIndexedDatasetBuilder(str(tmp_path / "train.bin"), dtype=np.uint16)
    for sentence in SENTENCES:
        builder.add_item(torch.tensor(sentence))
    builder.finalize(str(tmp_path / "train.idx"))
    return tmp_path / "train"


def load(text):
    return data_utils.load_indexed_dataset(str(text))


def test_whole_text_is_read(text):
    assert [sentence.tolist() for sentence in load(text)] == SENTENCES


@pytest.mark.parametrize("ending", [".bin", ".idx"])
def test_text_cut_anywhere_is_named(text, ending):
    file = text.with_suffix(ending)
    content = file.read_bytes()
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(InputError, match=f"^{text}") as error:
            load(text)
        assert "\n" not in str(error.value)


def test_what_is_missing_at_the_end_of_a_text_is_counted(text):
    text.with_suffix(".bin").write_bytes(text.with_suffix(".bin").read_bytes()[:-1])
    with pytest.raises(InputError, match=f"^{text}.bin: cut off, it has 17 bytes of 18$"):
        load(text)


@pytest.mark.parametrize("content", [b"word\n", b"word many\n", b"caf\xe9 1\n", b"a 1\na 1\n"])
def test_a_dictionary_of_another_form_is_named(tmp_path, content):
    path = tmp_path / "dict.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: cannot be read as a dictionary") as error:
        Dictionary.load(str(path))
    assert "\n" not in str(error.value)


def test_a_folder_without_a_dictionary_is_named(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}/dict.txt: .*No such file"):
        Dictionary.load(str(tmp_path / "dict.txt"))


def language(folder):
    return LanguageModelingTask(Namespace(data=folder, dataset_impl=None), Dictionary())


def translation(folder):
    cfg = TranslationConfig(data=folder, source_lang="in", target_lang="out")
    return TranslationTask(cfg, Dictionary(), Dictionary())


def sentences(folder):
    cfg = Namespace(data=folder, regression_target=False)
    return SentencePredictionTask(cfg, Dictionary(), Dictionary())


@pytest.mark.parametrize(
    "task, place", [(language, "/tset"), (translation, ""), (sentences, "/input0/tset")]
)
def test_a_subset_that_is_not_there_is_named(tmp_path, task, place):
    with pytest.raises(InputError) as error:
        task(str(tmp_path)).load_dataset("tset")
    line = f"{tmp_path}{place}: no binarised text of the subset 'tset' is there"
    assert str(error.value) == line


@pytest.mark.parametrize("kind", [FileNotFoundError, AssertionError])
def test_other_faults_of_loading_stay(kind):
    def load(task, split):
        raise kind("something else")

    with pytest.raises(kind, match="^something else$"):
        binarised.load_subset(load, None, "test")


def test_a_folder_in_which_no_language_is_named(tmp_path):
    (tmp_path / "dict.in.txt").touch()
    with pytest.raises(InputError, match=f"^{tmp_path}: no text of a language pair .*--source-l"):
        data_utils.infer_language_pair(str(tmp_path))
    (tmp_path / "test.in-out.in.idx").touch()
    assert data_utils.infer_language_pair(str(tmp_path)) == ["in", "out"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}/none: cannot be read .*No such file"):
        data_utils.infer_language_pair(f"{tmp_path}/none")
