"""From a layer's recorded attention in a batch to the ``Map``s of its rows.

B batch, T steps, S source length, P prefix slots.
"""

from torch.nn import functional as F

from fairseq_lstmn.attention.reading import ACROSS, BACKWARD, FORWARD, Map


def within(weights, lengths, part, layer, text, backward=False):
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
        yield Map(part, layer, direction, text, text, square)


def across(weights, lengths, source_lengths, layer, asks, reads, left_padded=False):
    """A ``Map`` for each row of weights (B, T, S), right-padded; the source on either side."""
    for row, length, source_length in zip(as_numpy(weights), lengths, source_lengths):
        first = row.shape[1] - source_length if left_padded else 0
        square = row[:length, first : first + source_length]
        yield Map("fusion", layer, ACROSS, asks, reads, square)


def as_numpy(weights):
    return weights.float().cpu().numpy()
