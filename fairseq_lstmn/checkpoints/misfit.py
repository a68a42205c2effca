"""Why the weights of a checkpoint are not those of a model, in a few words."""

import re
from collections.abc import Iterator

SIZES = re.compile(r"size mismatch for (\S+): .*?Size\(\[(.*?)\]\).*?Size\(\[(.*?)\]\)")


def sizes(error: BaseException) -> tuple[str, str, str] | None:
    """A weight's name, its size and the size that the model has, from torch's own ``error``.

    None where it does not speak of sizes.
    """
    mismatch = SIZES.search(str(error))
    return (mismatch[1], mismatch[2], mismatch[3]) if mismatch else None


def names(error: BaseException) -> tuple[list[str], list[str]]:
    """The weights that the checkpoint lacks, and those that the model lacks, from ``error``."""
    missing, unexpected = (
        re.search(rf"{kind} key\(s\) in state_dict: (.*)", str(error))
        for kind in ("Missing", "Unexpected")
    )
    return quoted(missing), quoted(unexpected)


def quoted(line: re.Match[str] | None) -> list[str]:
    return re.findall(r'"(\S+?)"', line[1]) if line else []


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what was being handled when it came, back to the first."""
    while error is not None:
        yield error
        error = error.__context__
