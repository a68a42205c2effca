"""How patches are put around fairseq's functions, and the table of them."""

import re
import sys
from inspect import isclass, ismethod, signature

from fairseq.data import data_utils
from fairseq.sequence_generator import SequenceGenerator

from fairseq_lstmn import patches
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


def patched_functions():
    """(function, whether it is a method, what is around it) of all that is patched."""
    owners = [module for name, module in sys.modules.items() if name.startswith("fairseq.")]
    owners += [kind for module in owners for kind in vars(module).values() if isclass(kind)]
    functions = {}
    for owner in owners:
        for name in list(vars(owner)):
            function = getattr(owner, name, None)
            if arounds := getattr(function, "patched_by_lstmn", None):
                functions[function] = isclass(owner), arounds
    return [(function, *about) for function, about in functions.items()]


def test_applying_twice_changes_nothing():
    def patched():
        functions = [function for function, *_ in patched_functions()]
        return *functions, data_utils.get_buckets, SequenceGenerator._prefix_tokens

    before = patched()
    patches.apply()
    assert patched() == before


def test_what_is_patched_is_called_by_keyword_as_before():
    functions = patched_functions()
    assert len(functions) > 40
    for function, of_class, arounds in functions:
        names = list(signature(function).parameters.values())
        has_self = of_class and names[0].name == "self"
        keywords = [p.name for p in names[has_self:] if p.kind is p.POSITIONAL_OR_KEYWORD]
        first = [function, *(["self or cls"] if has_self or ismethod(function) else [])]
        for around in arounds:
            signature(around).bind(*first, **dict.fromkeys(keywords))  # else a TypeError
