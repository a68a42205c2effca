"""Damaged and hostile checkpoints: each loads right or ends in one line."""

import random
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_lstmn.errors import InputError
from tests.checkpoints.files import OPEN, same, save, small_state


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "checkpoint.pt")


def load(path):
    return checkpoint_utils.load_checkpoint_to_cpu(path)


def assert_ends_in_one_line(path):
    with pytest.raises(InputError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_checkpoint_cut_at_every_twentieth_of_its_length(checkpoint):
    content = Path(checkpoint).read_bytes()
    for twentieth in range(20):
        Path(checkpoint).write_bytes(content[: len(content) * twentieth // 20])
        assert_ends_in_one_line(checkpoint)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"GIF89a", b"\x80\x04N.", bytes(10000)])
def test_a_file_of_another_kind(checkpoint, content):
    Path(checkpoint).write_bytes(content)
    assert_ends_in_one_line(checkpoint)


def test_a_checkpoint_of_another_program(checkpoint):
    for foreign in ({"state_dict": {"weight": torch.ones(2)}}, torch.ones(2), [1, 2], "text"):
        torch.save(foreign, checkpoint)
        assert_ends_in_one_line(checkpoint)


def test_wrong_bits(checkpoint):
    """Half of them anywhere, half outside the tensors, where the archive says what it holds."""
    draw, content, whole = random.Random(0), Path(checkpoint).read_bytes(), load(checkpoint)
    tensors = range(content.index(b"data/0"), content.rindex(b"data/2") - 2000)
    loaded = 0
    for attempt in range(400):
        place = draw.randrange(len(content))
        while attempt % 2 and place in tensors:
            place = draw.randrange(len(content))
        flipped = bytearray(content)
        flipped[place] ^= 1 << draw.randrange(8)
        Path(checkpoint).write_bytes(flipped)
        try:
            assert same(load(checkpoint), whole), f"bit of byte {place}"
            loaded += 1
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < loaded < 200  # some bits say nothing: padding, times, names of attributes


class CreatesFile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("part", small_state())
def test_a_malicious_part_is_refused(tmp_path, part):
    created = tmp_path / "created"
    path = save(tmp_path / "malicious.pt", **{part: {"inside": [CreatesFile(created)]}})
    with pytest.raises(InputError, match=f"^{path}: refused, because it holds {OPEN}"):
        load(path)
    assert not created.exists()
