import hypothesis
import pytest

from fairseq_lstmn.ops.cpp import cpp_library

# how long an example takes says nothing on a machine that others use too
hypothesis.settings.register_profile("at leisure", deadline=None)
hypothesis.settings.load_profile("at leisure")

# files that take minutes: begun first, so that none of them runs alone at the end
LONG = (
    "test_slurm.py",
    "test_compare.py",
    "test_quickstart.py",
    "test_launcher.py",
    "test_gpu.py",
    "test_language_modeling.py",
    "test_two_nodes.py",
    "test_readme.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture
def nothing_built(monkeypatch, tmp_path):
    """The folder for compiled kernels, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cpp_library.library.cache_clear()
    yield tmp_path / "cache" / "fairseq_lstmn"
    cpp_library.library.cache_clear()
