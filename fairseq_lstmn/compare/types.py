"""Names for types that much of a comparison shares; docstrings say the shapes of arrays."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.intp]  # numbers of classes, buckets and units, and lengths
Flags: TypeAlias = NDArray[np.bool_]
Score: TypeAlias = Callable[[Floats], Floats]  # from sums of statistics (..., d) to scores (...)
# of fairseq's commands, by their names without the dashes; values are what YAML holds
Options: TypeAlias = dict[str, Any]
Numbers: TypeAlias = Mapping[str, float | None]  # None for what is unknown
State: TypeAlias = Literal["finished", "failed", "missing"]
Verdict: TypeAlias = Literal["better", "worse", "inconclusive"]
