"""Which of this package's code is part of what makes a result."""

import pytest

from fairseq_lstmn.compare.run import fingerprint

ROOMS = sorted(
    path.relative_to(fingerprint.PACKAGE)
    for path in fingerprint.PACKAGE.iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
)
DRAWN = {"attend", "cli", "drawings.py"}


@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_all_code_but_commands_and_pictures_makes_a_result(room):
    """Also of a room that is yet to be built."""
    code = {path.relative_to(fingerprint.PACKAGE) for path in fingerprint.result_code()}
    inside = {path for path in code if room == path or room in path.parents}
    assert bool(inside) != (str(room) in DRAWN)


def test_reports_do_not_make_a_result():
    code = {str(path.relative_to(fingerprint.PACKAGE)) for path in fingerprint.result_code()}
    assert "compare/kinds/kind.py" in code
    assert not any(path.startswith("compare/report/") for path in code)


def test_another_line_of_code_is_another_version(tmp_path):
    (tmp_path / "training").mkdir()
    code = tmp_path / "training" / "best.py"
    code.write_text("best = min\n")
    before = fingerprint.of_files(tmp_path, fingerprint.result_code(tmp_path))
    code.write_text("best = max\n")
    assert fingerprint.of_files(tmp_path, fingerprint.result_code(tmp_path)) != before
