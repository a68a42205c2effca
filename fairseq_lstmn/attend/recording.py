"""What every LSTMN layer attends while a model reads, as the ``Map``s of a batch's rows.

Layers are wrapped while they are recorded, so that training, and all modules between a model and
its layers, know nothing of it. B batch, T steps, S source length, P prefix slots.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FORWARD, FloatArray, Map
from fairseq_lstmn.modules.fusion import SourceTape
from fairseq_lstmn.modules.lstmn_layer import LayerOutput, LSTMNLayer
from fairseq_lstmn.ops import Attention, GrowingTape, Tape

Calls: TypeAlias = dict[LSTMNLayer, list[Attention]]


@contextmanager
def recorded(model: nn.Module) -> Iterator[Calls]:
    """Yield a dictionary from every ``LSTMNLayer`` of ``model`` to its ``ops.Attention``s.

    A layer's list has one for each call within the block, in order: ``tape`` (B, T, P + T) and,
    of layers that read a source, ``source`` (B, T, S). What the model returns is as without.
    """
    layers = [module for module in model.modules() if isinstance(module, LSTMNLayer)]
    calls: Calls = {layer: [] for layer in layers}
    try:
        for layer in layers:
            vars(layer)["forward"] = partial(record, layer.forward, calls[layer])
        yield calls
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def record(
    forward: Callable[..., LayerOutput],
    calls: list[Attention],
    x: Tensor,
    tape: Tape | GrowingTape | None = None,
    lengths: Tensor | None = None,
    source: SourceTape | None = None,
    return_attention: bool = False,
) -> LayerOutput:
    """``LSTMNLayer.forward``, with its ``Attention`` added to ``calls``."""
    outputs, tape, attention = forward(x, tape, lengths, source, return_attention=True)
    assert attention is not None  # it was asked for
    calls.append(attention)
    return outputs, tape, attention if return_attention else None


def maps_within(
    layers: Iterable[LSTMNLayer],
    attention: Iterable[Attention],
    lengths: Sequence[int],
    part: str,
    text: str,
    backward: bool = False,
) -> Iterator[Iterator[Map]]:
    """For each layer, from the first on, its rows' ``Map``s within ``text``."""
    for k, (layer, attended) in enumerate(zip(layers, attention), start=1):
        yield within(attended.tape, lengths, part, k, text, backward, layer.is_lstm)


def maps_across(
    attention: Iterable[Attention],
    lengths: Sequence[int],
    source_lengths: Sequence[int],
    queries: str,
    keys: str,
    left_padded: bool = False,
) -> Iterator[Iterator[Map]]:
    """For each layer that reads a source, from the first on, its rows' ``Map``s."""
    for k, attended in enumerate(attention, start=1):
        if attended.source is not None:
            yield across(attended.source, lengths, source_lengths, k, queries, keys, left_padded)


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
    prefix = slots - steps
    weights = F.pad(weights, (0, 0, prefix, 0))  # a row for each slot
    direction = BACKWARD if backward else FORWARD
    for row, length in zip(as_numpy(weights), lengths):
        square = row[: prefix + length, : prefix + length]
        square = square[::-1, ::-1] if backward else square
        yield Map(part, layer, direction, text, text, square, is_lstm)


def across(
    weights: Tensor,
    lengths: Iterable[int],
    source_lengths: Iterable[int],
    layer: int,
    queries: str,
    keys: str,
    left_padded: bool = False,
) -> Iterator[Map]:
    """A ``Map`` for each row of weights (B, T, S), right-padded; the source on either side."""
    for row, length, source_length in zip(as_numpy(weights), lengths, source_lengths):
        start = row.shape[1] - source_length if left_padded else 0
        square = row[:length, start : start + source_length]
        yield Map("fusion", layer, ACROSS, queries, keys, square)


def as_numpy(weights: Tensor) -> FloatArray:
    return weights.float().cpu().numpy()
