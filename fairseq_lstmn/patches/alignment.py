"""Which source words the words of a hypothesis stand for, by the attention of its models.

S source length, T words of a hypothesis with the end of the sentence.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from fairseq_lstmn.errors import InputError

# fairseq's: (source word, target word), or for each target token its weights as text
Alignment: TypeAlias = Sequence[tuple[int, int] | list[str]]

Extract: TypeAlias = Callable[[Tensor, Tensor, Tensor, int, int], Alignment]
NONE_ATTENDS = (
    "--print-alignment, --replace-unk: need attention to the source, which no model of --path has"
)


def with_alignment(generation: Any) -> Any:
    """Settings of generation; where unknown words are replaced, with alignments."""
    if generation is None or getattr(generation, "replace_unk", None) is None:
        return generation
    if getattr(generation, "print_alignment", None):
        return generation
    generation = copy.deepcopy(generation)
    generation.print_alignment = "hard"
    return generation


def average(attention: Tensor, dim: int) -> Tensor:
    """The mean over the models that attend of what fairseq divides by the number of all models.

    Args:
        attention: weights over the source along ``dim``, of each such model a distribution.
    """
    return attention / attention.sum(dim, keepdim=True)


def attention_in(decoder_out: Any) -> Tensor | None:
    """The attention (B, T, S) in what one of fairseq's decoders returns, None without one."""
    extra = decoder_out[1] if len(decoder_out) > 1 else None
    if isinstance(extra, dict):
        extra = extra.get("attn")
    attention: Tensor | None = extra[0] if isinstance(extra, list) else extra
    return attention


def align(
    extract: Extract,
    attention: Tensor | None,
    source: Tensor,
    target: Tensor,
    pad: int,
    eos: int,
) -> Alignment:
    """The alignment of a hypothesis by ``extract``, one of fairseq's two functions.

    Args:
        attention (T, S): None or empty where no model attends to the source.
        source (S), target (T): tokens, padded or not.

    Raises:
        InputError: no model attends to the source.
    """
    if attention is None or attention.numel() == 0:
        raise InputError(NONE_ATTENDS)
    return extract(attention.cpu(), source.cpu(), target.cpu(), pad, eos)


def source_words(alignment: Alignment) -> dict[int, int]:
    """The source word of each target word, by their places without the ends of the sentences."""
    words = {}
    for place, entry in enumerate(alignment):
        if isinstance(entry, tuple):
            words[entry[1]] = entry[0]
        elif weights := [float(weight) for weight in entry[:-1]]:  # the last is the source's end
            words[place] = weights.index(max(weights))
    return words
