"""How numbers look in a report: what is missing is a dash, a minus is a minus sign."""

import re
from collections.abc import Mapping

MISSING = "–"
MINUS = "−"

_PLACES = ((1_000, 0), (100, 1), (1, 2), (0, 3))  # from this size on, so many decimals


def number(value: float | None, like: float | None = None) -> str:
    """``value`` with as many decimals as suit its size, or the size of ``like``."""
    if value is None:
        return MISSING
    size = abs(value if like is None else like)
    places = next(places for least, places in _PLACES if size >= least)
    text = f"{value:,.{places}f}"
    return text.replace("-", MINUS if re.search("[1-9]", text) else "")


def signed(value: float | None, like: float | None = None) -> str:
    """As ``number``, with a plus sign where it is positive."""
    text = number(value, like)
    positive = value is not None and value > 0 and re.search("[1-9]", text)
    return f"+{text}" if positive else text


def interval(low: float | None, high: float | None, like: float | None = None) -> str:
    """From ``low`` to ``high``; a dash where it is not known."""
    if low is None or high is None:
        return MISSING
    return f"{number(low, like)} to {number(high, like)}"


def whole(value: float | None) -> str:
    """An integer, or the nearest one."""
    return MISSING if value is None else f"{value:,.0f}".replace("-", MINUS)


def probability(value: float | None) -> str:
    if value is None:
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def memory(size: float | None) -> str:
    """Bytes, in the larger of MiB and GiB that is at least 1."""
    if size is None:
        return MISSING
    gibibytes = size / 2**30
    return f"{number(gibibytes)} GiB" if gibibytes >= 1 else f"{whole(size / 2**20)} MiB"


def option(value: object) -> str:
    """The value of an option, as one would type it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def options(chosen: Mapping[str, object]) -> str:
    """Options and their values in one line."""
    return ", ".join(f"{name} {option(value)}" for name, value in chosen.items()) or MISSING


def shortened(name: str, length: int) -> str:
    """``name`` in at most ``length`` characters, its middle left out if need be."""
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}…{name[-end:]}"
