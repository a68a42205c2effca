"""From a layer's recorded attention in a batch to the ``Map``s of its rows.

B batch, T steps, S source length, P prefix slots.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from torch import Tensor
from torch.nn import functional as F

from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FORWARD, FloatArray, Map
from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer
from fairseq_lstmn.ops import Attention

Calls: TypeAlias = dict[LSTMNLayer, list[Attention]]  # as ``modules.recording`` yields them


def within(
    weights: Tensor,
    lengths: Iterable[int],
    part: str,
    layer: int,
    text: str,
    backward: bool = False,
    is_lstm: bool = False,
) -> Iterator[Map]:
    """A ``Map`` for each row of weights (B, T, P + T), right-padded to ``lengths`` (of T).

    The P slots before the first step are the text's first tokens, which attend nothing. A layer
    that has read backwards, from the end of the text, gets its tokens back in their order.
    """
    steps, slots = weights.shape[1:]
    first = slots - steps
    weights = F.pad(weights, (0, 0, first, 0))  # a row for each slot
    direction = BACKWARD if backward else FORWARD
    for row, length in zip(as_numpy(weights), lengths):
        square = row[: first + length, : first + length]
        square = square[::-1, ::-1] if backward else square
        yield Map(part, layer, direction, text, text, square, is_lstm)


def across(
    weights: Tensor,
    lengths: Iterable[int],
    source_lengths: Iterable[int],
    layer: int,
    asks: str,
    reads: str,
    left_padded: bool = False,
) -> Iterator[Map]:
    """A ``Map`` for each row of weights (B, T, S), right-padded; the source on either side."""
    for row, length, source_length in zip(as_numpy(weights), lengths, source_lengths):
        first = row.shape[1] - source_length if left_padded else 0
        square = row[:length, first : first + source_length]
        yield Map("fusion", layer, ACROSS, asks, reads, square)


def as_numpy(weights: Tensor) -> FloatArray:
    return weights.float().cpu().numpy()
