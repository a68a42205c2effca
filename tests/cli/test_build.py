import _ctypes

import pytest

from fairseq_lstmn.cli import main
from fairseq_lstmn.ops.cpp import cpp_library

COMPILER = """#!/bin/sh
echo compiled >>"$0.log"
while [ "$1" != -o ]; do shift; done
cp {library} "$2"
"""
SOME_LIBRARY = _ctypes.__file__


@pytest.fixture
def compiler(monkeypatch, tmp_path, nothing_built):
    """A compiler that writes what it is asked for at once; where it says so."""
    path = tmp_path / "compiler"
    path.write_text(COMPILER.format(library=SOME_LIBRARY))
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    return tmp_path / "compiler.log"


def test_it_is_built_once(compiler, capsys):
    for _ in range(2):
        assert main(["build"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(cpp_library.library())
    assert compiler.read_text() == "compiled\n"


def test_what_cannot_be_loaded_is_built_anew(compiler):
    cpp_library.library().parent.mkdir(parents=True)
    cpp_library.library().write_text("no library")
    assert cpp_library.load(cpp_library.library()) is not None
    assert main(["build"]) == 0
    assert cpp_library.load(cpp_library.library()) is None


def test_what_was_built_and_cannot_be_loaded_is_an_error(compiler, tmp_path):
    (tmp_path / "compiler").write_text(COMPILER.format(library="$0"))
    with pytest.raises(SystemExit, match=r"error: .*kernels-.*: was built, but cannot be loaded"):
        main(["build"])


def test_no_compiler(compiler, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SystemExit, match="error: .*no-such-compiler"):
        main(["build"])
