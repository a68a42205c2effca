import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_lstmn.data.data_folder import Normalisation

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = CHECKOUT / "scripts"


@pytest.fixture
def reference_text(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import reference_text

    return reference_text


def test_text_is_the_same_each_time_and_never_empty(reference_text, tmp_path):
    first = reference_text.write(tmp_path / "first")
    second = reference_text.write(tmp_path / "second")
    for split, least in {"train": 50_000, "valid": 5_000, "test": 5_000}.items():
        text = first[split].read_text()
        assert text == second[split].read_text()
        assert len(text.split()) > least
        assert all(line.strip() for line in text.splitlines())


def test_no_sentence_is_in_two_splits_or_twice_in_one(reference_text):
    sentences = [s for split in reference_text.splits().values() for s in split]
    assert len(set(sentences)) == len(sentences)


def test_sentences_are_lower_case_tokens(reference_text):
    text = (
        'Numbers\n*******\n\nUse "x.Y" 3.12 times.  Then\nstop.\n\n   if a_b == 10:\n       pass\n'
    )
    assert list(reference_text.sentences(text)) == [
        "numbers",
        'use " x . y " N times .',
        "then stop .",
        "if a_b = = N : pass",
    ]


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like the checkout, set up, with few dates in it."""
    shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "scripts" / "setup.sh").write_text("")
    (tmp_path / "examples").symlink_to(CHECKOUT / "examples")
    generator = "examples/translation/dates_and_numbers.py"
    in_checkout(tmp_path, sys.executable, generator, "--dest", "quickstart/dates", "--pairs", "300")
    # from an interrupted run
    (tmp_path / "quickstart" / "data-bin.part").mkdir()
    (tmp_path / "quickstart" / "data-bin.part" / "dict.txt").touch()
    return tmp_path


def in_checkout(folder, *command):
    """What ``command``, run in ``folder``, prints; a list of lines."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.check_output(command, cwd=folder, env=environment, text=True).splitlines()


def test_models_are_compared_and_what_came_out_is_told(checkout):
    command = "bash", "scripts/quickstart.sh", "seeds=[1]", "train.max-update=2"
    printed = in_checkout(checkout, *command)
    title, *shown = printed[-17:-7]
    assert title.startswith("three of the dates")
    dates = checkout / "quickstart" / "dates"
    words, digits = (
        (dates / f"test.{side}").read_text(encoding="utf-8").splitlines()[:3]
        for side in ("words", "digits")
    )
    assert shown[0::3] == [f"S-{n}\t{line}" for n, line in enumerate(words)]
    assert shown[1::3] == [f"T-{n}\t{line}" for n, line in enumerate(digits)]
    assert [line[:4] for line in shown[2::3]] == ["D-0\t", "D-1\t", "D-2\t"]

    assert Normalisation.of_data(str(checkout / "quickstart" / "data-bin")) == Normalisation(
        lower_case=True
    )
    comparisons = checkout / "quickstart" / "comparisons"
    for plan, models in {
        "recall": ["LSTM", "LSTMN"],
        "language_models": ["LSTM", "LSTMN", "LSTMN-pointer", "Transformer"],
        "dates": ["LSTM", "LSTMN"],
    }.items():
        found = json.loads((comparisons / plan / "results.json").read_text())
        assert found["errors"] == []
        assert [model["name"] for model in found["models"]] == models
        sizes = [model["parameters"]["all"] for model in found["models"]]
        assert max(sizes) - min(sizes) <= 0.01 * sizes[0]

    _, picture, told, *answers, last = printed[-7:]
    assert (checkout / picture).read_bytes().startswith(b"\x89PNG")
    assert told.startswith("An LSTM keeps") and last.startswith("all with as many parameters")
    for answer, asked in zip(answers, ["name the value", "foretell", "write dates"], strict=True):
        assert answer.startswith(f"- {asked}")
    assert re.search(r"Transformer \d+ words", answers[1])
