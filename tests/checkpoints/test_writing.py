"""A disk that takes no more leaves the checkpoints before whole, and nothing else."""

import io
import resource
from contextlib import contextmanager

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from fairseq_lstmn.errors import InputError
from tests.checkpoints.files import same, save, small_state


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
