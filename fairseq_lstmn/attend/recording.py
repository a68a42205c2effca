"""What every LSTMN layer attends while a model reads, as the ``Map``s of a batch's rows.

Layers are wrapped while they are recorded, so that training, and all modules between a model and
its layers, know nothing of it. B batch, T steps, S source length, P prefix slots.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FORWARD, FloatArray, Map
from fairseq_lstmn.modules.lstmn_layer import LayerOutput, LSTMNLayer
from fairseq_lstmn.ops import Attention

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
    forward: Callable[..., LayerOutput], calls: list[Attention], *args: Any, **kwargs: Any
) -> LayerOutput:
    """``LSTMNLayer.forward``, with its ``Attention`` added to ``calls``."""
    call = signature(forward).bind(*args, **kwargs)
    asked_for = call.arguments.get("return_attention", False)
    call.arguments["return_attention"] = True
    outputs, tape, attention = forward(*call.args, **call.kwargs)
    assert attention is not None  # it was asked for
    calls.append(attention)
    return outputs, tape, attention if asked_for else None


def maps_within(
    layers: Iterable[LSTMNLayer],
    attention: Iterable[Attention],
    lengths: Sequence[int],
    part: str,
    text: str,
    backward: bool = False,
) -> Iterator[list[Map]]:
    """For each layer, from the first on, its rows' ``Map``s of tapes right-padded to ``lengths``.

    The P slots before the first step are the text's first tokens, which attend nothing. A layer
    that has read backwards, from the end of the text, gets its tokens back in their order.
    """
    direction, order = (BACKWARD, slice(None, None, -1)) if backward else (FORWARD, slice(None))
    for k, (layer, attended) in enumerate(zip(layers, attention), start=1):
        steps, slots = attended.tape.shape[1:]
        prefix = slots - steps
        squares = as_numpy(F.pad(attended.tape, (0, 0, prefix, 0)))  # a row for each slot
        sizes = [prefix + length for length in lengths]
        yield [
            Map(part, k, direction, text, text, rows[:n, :n][order, order], layer.is_lstm)
            for rows, n in zip(squares, sizes)
        ]


def maps_across(
    weights: Iterable[Tensor | None],
    lengths: Sequence[int],
    source_lengths: Sequence[int],
    queries: str,
    keys: str,
    left_padded: bool = False,
) -> Iterator[list[Map]]:
    """For each layer, from the first on, its rows' ``Map``s; none of one that reads no source.

    ``weights`` (B, T, S) are right-padded to ``lengths``, their source on either side.
    """
    for k, layer in enumerate(weights, start=1):
        if layer is not None:
            first = [layer.shape[2] - n if left_padded else 0 for n in source_lengths]
            yield [
                Map("fusion", k, ACROSS, queries, keys, rows[:length, start : start + n])
                for rows, length, start, n in zip(as_numpy(layer), lengths, first, source_lengths)
            ]


def as_numpy(weights: Tensor) -> FloatArray:
    return weights.float().cpu().numpy()
