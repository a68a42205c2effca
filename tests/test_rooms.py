"""Which room of the package imports which, and that no import goes round in a circle."""

import ast
from graphlib import TopologicalSorter

import pytest

from tests.fairseq_commands import PLUGIN

# of each room, those that it may import; every one may import errors
ARROWS = {
    "cli": {"attend", "compare", "data", "ops", "inference"},
    "attend": {"drawings", "models", "modules", "ops", "inference"},
    "compare": {"data", "drawings", "tasks"},
    "inference": {"data", "modules"},
    "patches": {"data", "models", "modules"},
    "tasks": {"data"},
    "models": {"data", "modules", "ops"},
    "modules": {"ops"},
    "ops": set(),
    "data": set(),
    "drawings": set(),
    "errors": set(),
}
# the package itself: its version, for those that say it, and what it registers
ITSELF = {"cli", "compare"}


def module_of(path):
    return (
        ".".join(path.relative_to(PLUGIN).with_suffix("").parts).removesuffix("__init__").strip(".")
    )


MODULES = {module_of(path): path for path in PLUGIN.rglob("*.py")}


def imported(path):
    """The modules of the package that a file imports anywhere; "" is the package itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, inside = name.partition(".")
            if package == PLUGIN.name:
                yield inside if inside in MODULES else inside.rpartition(".")[0]


GRAPH = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


@pytest.mark.parametrize("room", ARROWS)
def test_imports_follow_the_arrows(room):
    inside = [name for name in GRAPH if name.partition(".")[0] == room]
    there = {other.partition(".")[0] for name in inside for other in GRAPH[name]}
    allowed = ARROWS[room] | {room, "errors"} | ({""} if room in ITSELF else set())
    assert there <= allowed


def test_every_room_has_its_arrows():
    assert {name.partition(".")[0] for name in MODULES} - {""} == set(ARROWS)


def test_no_circle():
    """Raises CycleError, which names it."""
    TopologicalSorter(GRAPH).prepare()
