"""What all readers ask of the sentences that they are given."""

from collections.abc import Sequence

from fairseq.data import Dictionary
from torch import Tensor

from fairseq_lstmn.inference.lines import BadLine

LONGEST = 1000  # tokens; what a picture can hold, whatever the model can


def only_text(texts: Sequence[str]) -> str:
    """The one text of a line. Raises BadLine for more."""
    if len(texts) != 1:
        raise BadLine(f"{len(texts)} sentences separated by TAB, but the model reads 1")
    return texts[0]


def check_length(tokens: int, most: float) -> None:
    """Raise BadLine for more tokens than a model reads or a picture holds."""
    if tokens > most:
        raise BadLine(f"{tokens} tokens with the end, but the model reads at most {most:g}")
    if tokens > LONGEST:
        raise BadLine(f"{tokens} tokens with the end, but at most {LONGEST} can be shown")


def unknown(dictionary: Dictionary, tokens: Tensor, shift: int = 0) -> list[int]:
    """Where the unknown ones stand among ``tokens``, counted from ``shift``."""
    return [t + shift for t, token in enumerate(tokens.tolist()) if token == dictionary.unk()]
