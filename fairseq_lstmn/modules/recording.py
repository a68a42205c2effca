"""What every LSTMN layer attends while a model reads.

By hooks, so that training, and all modules between a model and its layers, know nothing of it.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from fairseq_lstmn.modules.lstmn_layer import LayerOutput, LSTMNLayer
from fairseq_lstmn.ops import Attention


@contextmanager
def recorded(model: nn.Module) -> Iterator[dict[LSTMNLayer, list[Attention]]]:
    """Yield a dictionary from every ``LSTMNLayer`` of ``model`` to its ``ops.Attention``s.

    A layer's list has one for each call within the block, in order: ``tape`` (B, T, P + T) and,
    of layers that read a source, ``source`` (B, T, S). What the model returns is as without.
    """
    calls: dict[LSTMNLayer, list[Attention]] = {
        layer: [] for layer in model.modules() if isinstance(layer, LSTMNLayer)
    }
    # whether a layer's caller wants the attention of the call at work
    asked: dict[LSTMNLayer, bool] = {}

    def ask(
        layer: LSTMNLayer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bound = inspect.signature(layer.forward).bind(*args, **kwargs)
        asked[layer] = bound.arguments.get("return_attention", False)
        bound.arguments["return_attention"] = True
        return bound.args, bound.kwargs

    def keep(layer: LSTMNLayer, args: tuple[Any, ...], output: LayerOutput) -> LayerOutput:
        outputs, tape, attention = output
        assert attention is not None  # it was asked for
        calls[layer].append(attention)
        return outputs, tape, attention if asked[layer] else None

    hooks = []
    try:
        for layer in calls:
            hooks.append(layer.register_forward_pre_hook(ask, with_kwargs=True))
            hooks.append(layer.register_forward_hook(keep))
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
