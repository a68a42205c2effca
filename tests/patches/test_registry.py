"""How patches are put around fairseq's functions, and the table of them."""

import re
from inspect import isclass

from fairseq_lstmn.patches import registry
from tests.fairseq_commands import CHECKOUT


def test_the_first_one_registered_runs_first(monkeypatch):
    monkeypatch.setattr(registry, "LAYERS", {})
    monkeypatch.setattr(registry, "SETTINGS", [])
    order = []

    class Owner:
        @staticmethod
        def double(x):
            return 2 * x

    @registry.patch(Owner, "double")
    def outer(double, x):
        order.append("outer")
        return double(x + 1)

    @registry.patch(Owner, "double")
    def inner(double, x):
        order.append("inner")
        return double(10 * x)

    for _ in range(2):  # the second time nothing is left to do
        registry.apply()
        order.clear()
        assert Owner.double(x=1) == 2 * 10 * (1 + 1)
        assert order == ["outer", "inner"]


def name_of(owner, function):
    """As the table has it."""
    if function == "load_dataset":  # of whichever task
        return "tasks.*.load_dataset"
    name = f"{owner.__module__}.{owner.__qualname__}" if isclass(owner) else owner.__name__
    return f"{name.removeprefix('fairseq.')}.{function}"


def test_the_table_has_what_is_patched():
    text = (CHECKOUT / "ROBUSTNESS.md").read_text()
    rows = re.findall(r"^\| `(\S+\.\S+)` \| .+ \| .+ \|$", text, re.M)
    assert sorted(rows) == sorted({name_of(*key) for key in registry.LAYERS})
