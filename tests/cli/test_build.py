import pytest

from fairseq_lstmn.cli import main
from fairseq_lstmn.ops.cpp import cpp_library

COMPILER = """#!/bin/sh
echo compiled >>"$0.log"
while [ "$1" != -o ]; do shift; done
echo a library >"$2"
"""


@pytest.fixture
def compiler(monkeypatch, tmp_path, nothing_built):
    """A compiler that writes what it is asked for at once; where it says so."""
    path = tmp_path / "compiler"
    path.write_text(COMPILER)
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    return tmp_path / "compiler.log"


def test_it_is_built_once(compiler, capsys):
    for _ in range(2):
        assert main(["build"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(cpp_library.library())
    assert cpp_library.library().read_text() == "a library\n"
    assert compiler.read_text() == "compiled\n"


def test_no_compiler(compiler, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SystemExit, match="error: .*no-such-compiler"):
        main(["build"])
