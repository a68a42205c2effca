"""Data as they are on the disk, of which each fault is named in one line, and their batches."""

import multiprocessing
import os
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch
from fairseq.data import (
    BucketPadLengthDataset,
    Dictionary,
    LanguagePairDataset,
    TokenBlockDataset,
    data_utils,
    indexed_dataset,
    iterators,
)
from fairseq.data.indexed_dataset import MMapIndexedDataset, MMapIndexedDatasetBuilder
from fairseq.tasks.language_modeling import LanguageModelingTask
from fairseq.tasks.sentence_prediction import SentencePredictionTask
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches import data
from fairseq_lstmn.patches.tasks import load_subset
from tests.fairseq_commands import CHECKOUT

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
    assert "InputError" not in str(error.value)  # said once, not of the open file too


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
        load_subset(load, None, "test")


def test_a_folder_in_which_no_language_is_named(tmp_path):
    (tmp_path / "dict.in.txt").touch()
    with pytest.raises(InputError, match=f"^{tmp_path}: no text of a language pair .*--source-l"):
        data_utils.infer_language_pair(str(tmp_path))
    (tmp_path / "test.in-out.in.idx").touch()
    assert data_utils.infer_language_pair(str(tmp_path)) == ["in", "out"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=f"^{tmp_path}/none: cannot be read .*No such file"):
        data_utils.infer_language_pair(f"{tmp_path}/none")


@pytest.mark.parametrize("count", [0, 3, 8, 11, 21])
@pytest.mark.parametrize("limits", [{"max_sentences": 10}, {"max_tokens": 50}])
def test_no_example_is_left_out_of_the_batches(count, limits):
    indices = range(100, 100 + count)
    options = dict(num_tokens_fn=lambda index: 5, required_batch_size_multiple=8)
    batches = data_utils.batch_by_size(iter(indices), **options, **limits)
    assert [index for batch in batches for index in batch] == list(indices)
    assert all(len(batch) <= 10 for batch in batches)


def test_batches_of_fixed_shapes_stay_as_they_are():
    options = dict(num_tokens_fn=lambda index: 4, required_batch_size_multiple=8)
    batches = data_utils.batch_by_size(np.arange(5), **options, fixed_shapes=[(2, 4)])
    assert [list(batch) for batch in batches] == [[0, 1], [2, 3], [4]]


def test_blocks_can_end_with_the_sentence():
    sentences = [torch.tensor([5, 6, 2]), torch.tensor([7, 2])]
    blocks = TokenBlockDataset(sentences, [3, 2], None, pad=1, eos=2, break_mode="eos")
    assert [block.tolist() for block in blocks] == [[5, 6, 2], [7, 2]]


def texts(*lengths):
    """Sentences of these lengths, and the lengths."""
    return [torch.full((length,), 4) for length in lengths], np.array(lengths)


def test_sentence_pairs_fall_into_length_buckets():
    words = Dictionary()
    sides = *texts(2, 3, 5, 6), words, *texts(2, 2, 7, 9), words
    pairs = LanguagePairDataset(*sides, num_buckets=2)
    assert pairs.bucketed_num_tokens.tolist() == [3, 3, 9, 9]
    assert pairs.get_batch_shapes() == [(None, 3), (None, 9)]


def test_lengths_fall_into_buckets():
    sentences = texts(1, 2, 3, 4, 5, 9)
    dataset = BucketPadLengthDataset(*sentences, num_buckets=2, pad_idx=0, left_pad=False)
    assert dataset.buckets.tolist() == [3, 9]
    assert [len(item) for item in dataset] == [3, 3, 3, 9, 9, 9]


def test_offsets_of_merged_parts_do_not_wrap(tmp_path):
    sizes = [2**30] * 3  # tokens of 4 bytes; only the index says so
    part, whole = (str(tmp_path / name) for name in ("part", "whole"))
    with MMapIndexedDataset.Index.writer(indexed_dataset.index_file_path(part), np.int32) as index:
        index.write(sizes)
    (tmp_path / "part.bin").touch()
    builder = MMapIndexedDatasetBuilder(f"{whole}.bin", dtype=np.int32)
    builder.merge_file_(part)
    builder.finalize(f"{whole}.idx")
    index = MMapIndexedDataset.Index(f"{whole}.idx")
    assert [tuple(map(int, index[k])) for k in range(3)] == [(k * 2**32, 2**30) for k in range(3)]


LEAVES_BATCHES_BEHIND = """
import torch
from fairseq.data import iterators
import fairseq_lstmn

class Endless:
    def __len__(self):
        return 10**6

    def __iter__(self):
        while True:
            yield torch.nn.utils.rnn.pad_sequence([torch.randn(50) for _ in range(200)])

batches = iterators.BufferedIterator(10, Endless())
next(batches)
"""


def test_a_process_ends_well_before_its_batches_do():
    """Without the patch nearly every such process aborts."""
    command = [sys.executable, "-c", LEAVES_BATCHES_BEHIND]
    result = subprocess.run(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0, result.stderr


def test_a_full_queue_keeps_no_thread():
    batches = iterators.BufferedIterator(1, range(100))
    assert next(batches) == 0
    data.end(batches)
    assert not batches._consumer.is_alive()


def test_all_batches_are_read():
    assert list(iterators.BufferedIterator(3, range(100))) == list(range(100))


@pytest.fixture
def start():
    """Chooses how processes start."""
    yield lambda method: multiprocessing.set_start_method(method, force=True)
    multiprocessing.set_start_method(None, force=True)


class Parents(torch.utils.data.Dataset):
    """Items are the parents of the processes that read them. Says so, if it is pickled."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return os.getppid()

    def __reduce__(self):
        raise AssertionError("a fork has the dataset")


@pytest.mark.parametrize("buffer_size", [0, 2])
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_are_forks(start, method, buffer_size):
    """Both the default before Python 3.14 and that since."""
    start(method)
    batches = iterators.EpochBatchIterator(
        Parents(), list, [[0], [1]], num_workers=1, buffer_size=buffer_size
    )
    assert list(batches.next_epoch_itr()) == [[os.getpid()]] * 2


@pytest.mark.parametrize("method, workers", [("spawn", 1), ("forkserver", 0)])
def test_other_loaders_stay_as_they_are(start, method, workers):
    start(method)
    loader = torch.utils.data.DataLoader(Parents(), num_workers=workers)
    iterators.BufferedIterator(2, loader)
    assert loader.multiprocessing_context is None
