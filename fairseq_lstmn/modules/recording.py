"""What every LSTMN layer attends while a model reads.

By hooks, so that training, and all modules between a model and its layers, know nothing of it.
"""

import inspect
from contextlib import contextmanager

from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer


@contextmanager
def recorded(model):
    """Yield a dictionary from every ``LSTMNLayer`` of ``model`` to its ``ops.Attention``s.

    A layer's list has one for each call within the block, in order: ``tape`` (B, T, P + T) and,
    of layers that read a source, ``source`` (B, T, S). What the model returns is as without.
    """
    calls = {layer: [] for layer in model.modules() if isinstance(layer, LSTMNLayer)}
    asked = {}  # whether a layer's caller wants the attention of the call at work

    def ask(layer, args, kwargs):
        bound = inspect.signature(layer.forward).bind(*args, **kwargs)
        asked[layer] = bound.arguments.get("return_attention", False)
        bound.arguments["return_attention"] = True
        return bound.args, bound.kwargs

    def keep(layer, args, output):
        outputs, tape, attention = output
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
