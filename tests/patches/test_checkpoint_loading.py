"""Damaged and hostile checkpoints: each loads right or ends in one line."""

import io
import random
from pathlib import Path
from unittest import mock

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_lstmn.errors import InputError

from .files import OPEN, CreatesFile, same, save, small_state


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "checkpoint.pt")


def load(path):
    return checkpoint_utils.load_checkpoint_to_cpu(path)


def flipped(content):
    """The bytes of a checkpoint with one bit of its first tensor changed, which torch loads."""
    changed = bytearray(content)
    changed[content.index(b"data/0") + 1000] ^= 1
    torch.load(io.BytesIO(changed), weights_only=False)
    return bytes(changed)


class Storage:
    """Files elsewhere, as a handler of iopath's has them: one is open()ed, or fetched to ``local``.

    What was fetched before is not fetched again, unless it was removed.
    """

    def __init__(self, local):
        self.files, self.local = {}, Path(local)

    def open(self, path, mode):
        assert mode == "rb"
        return io.BytesIO(self.files[path])

    def get_local_path(self, path, **_):
        if not self.local.exists():
            self.local.write_bytes(self.files[path])
        return str(self.local)

    def path_requires_pathmanager(self, path):
        return path.startswith("far://")


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """A ``Storage`` with the file far://checkpoint.pt, which fairseq's commands read by it."""
    far = Storage(tmp_path / "fetched.pt")
    far.files["far://checkpoint.pt"] = Path(save(tmp_path / "checkpoint.pt")).read_bytes()
    for name in ("open", "get_local_path", "path_requires_pathmanager"):
        monkeypatch.setattr(checkpoint_utils.PathManager, name, getattr(far, name))
    return far


def assert_is_damaged(path):
    with pytest.raises(InputError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: cannot be read as a fairseq checkpoint (")
    assert "\n" not in str(error.value)


def test_a_checkpoint_cut_at_every_twentieth_of_its_length(checkpoint):
    content = Path(checkpoint).read_bytes()
    for twentieth in range(20):
        Path(checkpoint).write_bytes(content[: len(content) * twentieth // 20])
        assert_is_damaged(checkpoint)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"GIF89a", b"\x80\x04N.", bytes(10000), b"not a checkpoint\n"],
)
def test_a_file_of_another_kind(checkpoint, content):
    Path(checkpoint).write_bytes(content)
    assert_is_damaged(checkpoint)


def test_a_checkpoint_of_another_program(checkpoint):
    for foreign in ({"state_dict": {"weight": torch.ones(2)}}, torch.ones(2), [1, 2], "text"):
        torch.save(foreign, checkpoint)
        assert_is_damaged(checkpoint)


def test_wrong_bits(checkpoint):
    """Half of them anywhere, half outside the tensors, where the archive says what it holds."""
    draw, content, whole = random.Random(0), Path(checkpoint).read_bytes(), load(checkpoint)
    tensors = range(content.index(b"data/0"), content.rindex(b"data/2") - 2000)
    loaded = 0
    for attempt in range(400):
        place = draw.randrange(len(content))
        while attempt % 2 and place in tensors:
            place = draw.randrange(len(content))
        changed = bytearray(content)
        changed[place] ^= 1 << draw.randrange(8)
        Path(checkpoint).write_bytes(changed)
        try:
            assert same(load(checkpoint), whole), f"bit of byte {place}"
            loaded += 1
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < loaded < 200  # some bits say nothing: padding, times, names of attributes


@pytest.mark.parametrize("part", small_state())
def test_a_malicious_part_is_refused(tmp_path, part):
    created = tmp_path / "created"
    path = save(tmp_path / "malicious.pt", **{part: {"inside": [CreatesFile(created)]}})
    for loading in (load, checkpoint_utils.load_ema_from_checkpoint):
        with pytest.raises(InputError, match=f"^{path}: refused, because it holds {OPEN}"):
            loading(path)
    assert not created.exists()


def test_what_is_checked_is_what_was_fetched(storage):
    sound = storage.files["far://checkpoint.pt"]
    storage.local.write_bytes(flipped(sound))  # of an earlier command, while it was written
    assert same(load("far://checkpoint.pt"), load("far://checkpoint.pt"))
    assert storage.local.read_bytes() == sound
    storage.files["far://checkpoint.pt"] = flipped(sound)  # and the copy is still sound
    with pytest.raises(InputError, match="^far://checkpoint.pt: .*the checksum of .* is wrong"):
        load("far://checkpoint.pt")


def test_parameters_of_ema_are_read_from_a_storage_that_is_only_opened(storage, monkeypatch):
    def nowhere(path, **_):
        raise NotImplementedError(path)

    monkeypatch.setattr(checkpoint_utils.PathManager, "get_local_path", nowhere)
    parameters = {"weight": torch.arange(1000.0)}
    content = io.BytesIO()
    torch.save({"model": {}, "extra_state": {"ema": parameters}}, content)
    storage.files["far://ema.pt"] = content.getvalue()
    state = checkpoint_utils.load_ema_from_checkpoint("far://ema.pt")
    assert torch.equal(state["model"]["weight"], parameters["weight"])
    storage.files["far://ema.pt"] = flipped(content.getvalue())
    with pytest.raises(InputError, match="^far://ema.pt: .*the checksum of .* is wrong"):
        checkpoint_utils.load_ema_from_checkpoint("far://ema.pt")


def test_a_mocked_file_is_nobody_elses_business():
    """fairseq's own test of EMA, whose file does not exist."""
    parameters = {"a": torch.tensor([1]), "b": torch.tensor([0.1])}
    with (
        mock.patch("fairseq.checkpoint_utils.PathManager.open") as opened,
        mock.patch("fairseq.checkpoint_utils.torch.load") as loads,
    ):
        loads.return_value = {"extra_state": {"ema": parameters}}
        state = checkpoint_utils.load_ema_from_checkpoint("ema_checkpoint.pt")
        opened.assert_called_with("ema_checkpoint.pt", "rb")
        loads.assert_called_once()
    assert state["model"] == parameters


@pytest.mark.parametrize("sound", [True, False])
def test_loading_is_left_as_it_was(checkpoint, sound):
    before = torch.load
    if sound:
        load(checkpoint)
    else:
        Path(checkpoint).write_bytes(flipped(Path(checkpoint).read_bytes()))
        assert_is_damaged(checkpoint)
    assert torch.load is before
