"""examples/nli/learning_curve.py: trains what is missing, and draws what there is."""

import pytest

from tests.examples.example import EXAMPLES, load_script, run_script

SCRIPT = EXAMPLES / "nli" / "learning_curve.py"
TRAINING = (
    *("--encoder-embed-dim", 4, "--encoder-hidden-size", 4, "--max-update", 2),
    *("--optimizer", "adam", "--lr", 0.01, "--batch-size", 48),
)

script = load_script(SCRIPT)


@pytest.fixture
def curve(tmp_path):
    """A table that lacks one training."""
    rows = [(reader, 48, 1, 50) for reader in script.READERS if reader != "LSTMN, deep fusion"]
    lines = ["\t".join(map(str, row)) + "\n" for row in rows]
    (tmp_path / "accuracy.tsv").write_text("".join(lines))
    return tmp_path


def test_what_is_missing_is_trained_and_all_is_drawn(curve):
    done = run_script(SCRIPT, "--dest", curve, "--pairs", 48, *TRAINING)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (curve / "accuracy.tsv").read_text().splitlines()]
    assert [row[0] for row in rows] == [*list(script.READERS)[:3], "LSTMN, deep fusion"]
    assert 0 <= float(rows[-1][3]) <= 100
    assert done.stdout.splitlines()[-1] == str(curve / "accuracy.png")
    assert (curve / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def test_a_training_that_fails_names_its_log(curve):
    (curve / "pairs48").mkdir()  # where the pairs would be
    done = run_script(SCRIPT, "--dest", curve, "--pairs", 48, *TRAINING)
    assert done.returncode == 1
    assert "train.log" in done.stderr.splitlines()[-1]
    assert len((curve / "accuracy.tsv").read_text().splitlines()) == 3
