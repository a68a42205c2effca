"""What summary.json says of one map over all lines."""

from typing import TypedDict

# attention within a text has weights by distance, attention across texts has none
MapEntry = TypedDict(
    "MapEntry",
    {
        "map": str,
        "rows": int,
        "weight on the nearest": float,
        "weight on the strongest": float,
        "entropy in bits": float,
        "entropy as share of uniform": float,
        "mean weight by distance": list[float],
        "mean weight farther": float,
    },
    total=False,
)
RepeatEntry = TypedDict(
    "RepeatEntry",
    {
        "map": str,
        "attends": str,
        "steps": int,
        "weight": float,
        "weight by distance alone": float,
    },
    total=False,
)
