"""Checkpoints are saved whole or not at all, and so that they load again."""

import io
import math
import resource
import shutil
from argparse import Namespace
from collections import Counter, OrderedDict
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.patches import checkpoint_saving

from .files import same, save, small_state


@contextmanager
def full_disk(size):
    """No file grows beyond ``size`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "checkpoint_last.pt")


@pytest.mark.parametrize("size", [0, 500, 2000, 6000])
def test_saving_on_a_full_disk(tmp_path, path, size):
    with full_disk(size), pytest.raises(InputError, match=rf"^{path}: cannot be written \(File"):
        save(path, extra_state={})
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint_last.pt"]
    assert same(torch.load(path), small_state())


@pytest.mark.parametrize("size", [0, 500, 2000])
def test_copying_on_a_full_disk(tmp_path, path, size):
    best = save(tmp_path / "checkpoint_best.pt", extra_state={})
    with full_disk(size), pytest.raises(InputError, match=rf"^{path}: cannot be written \(File"):
        PathManager.copy(best, path, overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "checkpoint_best.pt",
        "checkpoint_last.pt",
    ]
    assert same(torch.load(path), small_state())


def test_a_write_that_fails_once_is_not_continued(tmp_path, path, monkeypatch):
    """Nothing could read what is written behind the remains of a first attempt."""

    class FailsOnce(io.FileIO):
        failed = False

        def write(self, content):
            if not self.failed and self.tell() > 1000:
                self.failed = True
                raise OSError(28, "No space left on device")
            return super().write(content)

    monkeypatch.setattr(PathManager, "open", FailsOnce)
    with pytest.raises(InputError, match="No space left on device"):
        save(path, extra_state={})
    assert same(torch.load(path), small_state())


def test_a_folder_that_takes_no_files_is_named(path):
    below = f"{path}/below"  # a file
    with pytest.raises(InputError, match=rf"^--save-dir {below}: cannot be written \(Not a dir"):
        checkpoint_utils.verify_checkpoint_directory(below)


def test_a_copy_of_a_checkpoint_that_is_cut_off_leaves_the_old_one(tmp_path, monkeypatch):
    def cut_off(source, destination):
        Path(destination).write_bytes(Path(source).read_bytes()[:2])
        raise KeyboardInterrupt

    best, last = tmp_path / "checkpoint_best.pt", tmp_path / "checkpoint_last.pt"
    best.write_bytes(b"newer")
    last.write_bytes(b"older")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copyfile", cut_off)
        PathManager.copy(str(best), str(last), overwrite=True)
    assert last.read_bytes() == b"older"
    assert PathManager.copy(str(best), str(last), overwrite=True)
    assert last.read_bytes() == b"newer"


def test_a_copy_that_is_not_to_overwrite_is_left_to_fairseq(tmp_path, monkeypatch):
    """With iopath it leaves a file that is there."""
    handler = MagicMock()
    monkeypatch.setattr("fairseq.file_io.IOPathManager", handler)
    handler._path_handlers = {}
    PathManager.copy("from", str(tmp_path / "to"))
    handler.copy.assert_called_once_with(
        src_path="from", dst_path=str(tmp_path / "to"), overwrite=False
    )


def test_numpy_values_are_saved_so_that_they_load_again(tmp_path):
    path = str(tmp_path / "checkpoint.pt")
    weights = OrderedDict(weight=torch.ones(2))
    weights._metadata = "kept"
    counts = Counter(word=np.int64(2))
    checkpoint_utils.torch_persistent_save(
        {
            "best": np.float64(0.5),
            "meters": [("bleu", {"sum": np.array([1, 2])})],
            "model": weights,
            "counts": counts,
        },
        path,
    )
    loaded = torch.load(path, weights_only=True)
    assert loaded["best"] == 0.5
    assert loaded["meters"][0][1]["sum"].tolist() == [1, 2]
    assert loaded["model"]._metadata == "kept"
    assert loaded["counts"] == Counter(word=2)


@pytest.mark.parametrize("score, chosen", [(0.5, 0.5), (None, None), (math.nan, None)])
def test_no_best_checkpoint_is_chosen_by_a_score_that_is_nan(caplog, score, chosen):
    trainer = Namespace(get_num_updates=lambda: 6)
    settings = Namespace(best_checkpoint_metric="pearson")
    save = MagicMock()
    checkpoint_saving.choose_by_finite_score(save, settings, trainer, None, score)
    save.assert_called_once_with(settings, trainer, None, chosen)
    warning = (
        "update 6: --best-checkpoint-metric pearson is nan; no best checkpoint is chosen by it"
    )
    assert caplog.messages == ([warning] if score != chosen else [])
