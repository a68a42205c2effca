"""The YAML of plans, by the core schema of YAML 1.2.

PyYAML reads plain scalars by 1.1, where ``on`` is true, ``032`` is 26 and ``1:30`` is 90.
"""

import json
import re
from collections import Counter
from collections.abc import Hashable
from typing import Any

import yaml

TEXTS = frozenset({"data", "title", "baseline", "budget"})  # keys whose values stay as written

STRING, NULL, INTEGER = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "int"))
MERGE = "tag:yaml.org,2002:merge"
SCHEMA = {
    NULL: r"(null|Null|NULL|~|)\Z",
    "tag:yaml.org,2002:bool": r"(true|True|TRUE|false|False|FALSE)\Z",
    INTEGER: r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z",
    "tag:yaml.org,2002:float": r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z",
    MERGE: r"<<\Z",  # of 1.1, for what models share
}


class PlanLoader(yaml.SafeLoader):
    """Reads keys as text, whatever they look like; a key that stands there twice is an error."""

    # None: for scalars that begin with any letter
    yaml_implicit_resolvers = {None: [(tag, re.compile(form)) for tag, form in SCHEMA.items()]}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """PyYAML's, which calls this for every mapping."""
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                key.tag = STRING
                if key.value in TEXTS and isinstance(value, yaml.ScalarNode) and value.tag != NULL:
                    value.tag = STRING
        keys = Counter(key.value for key, _ in node.value if key.tag == STRING)
        for name, count in keys.items():
            if count > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"found duplicate key {name}", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """The number of ``032`` (32), ``0o40`` (32) or ``0x20`` (32)."""
        text = self.construct_scalar(node)
        return int(text, base=0 if text[:2] in ("0o", "0x") else 10)


PlanLoader.add_constructor(INTEGER, PlanLoader.construct_integer)


def load(text: str | bytes) -> Any:
    """What a YAML text says; raises yaml.YAMLError or ValueError if it is none."""
    return yaml.load(text, Loader=PlanLoader)


def override(text: str) -> tuple[str, Any]:
    """The key and the value, read as in a plan, of ``key=value``; None without a value."""
    key, _, value = text.partition("=")
    name = json.dumps(key.rpartition(".")[2], ensure_ascii=False)
    [found] = load(f"{name}:\n {value}").values()
    return key, found
