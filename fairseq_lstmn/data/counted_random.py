"""Random numbers by their position in a stream: any of them at once, in any order.

B rows, C columns.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEP = 0x9E3779B97F4A7C15
ROUNDS = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)
LAST_SHIFT = 31


def stream(*words: int) -> NDArray[np.uint64]:
    """The start of a stream of its own for such ``words``, whole numbers from 0 on."""
    return np.asarray(np.random.SeedSequence(words).generate_state(1, np.uint64), dtype=np.uint64)


def bits(start: NDArray[np.uint64], rows: ArrayLike, columns: int) -> NDArray[np.uint64]:
    """(B, C) random numbers of 64 bits, C ``columns`` for each of the numbers ``rows`` (B).

    SplitMix64 (Steele, Lea & Flood 2014), whose state at a position is a product.
    """
    rows = np.asarray(rows, dtype=np.uint64)[:, None]
    position = rows * np.uint64(columns) + np.arange(1, columns + 1, dtype=np.uint64)
    mixed = start + position * np.uint64(STEP)
    for shift, factor in ROUNDS:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    drawn: NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(LAST_SHIFT))
    return drawn
