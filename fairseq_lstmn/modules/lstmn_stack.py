"""Layers of LSTMN on each other, each with a tape of its own.

B batch, T steps, S source length, D input width, G encoder width, H hidden width, K layers.
"""

import torch
from fairseq.modules import FairseqDropout
from torch import nn

from fairseq_lstmn.modules.fusion import DeepFusion
from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer
from fairseq_lstmn.ops import GrowingTape

LSTM = dict(memory_span=1, distance_bias=0)


class LSTMNStack(nn.Module):
    """Equation 10 of Cheng et al. 2016.

    Args:
        input_size: D.
        hidden_size: H, of every layer.
        layers: K.
        tape_layers: how many layers have a tape, the last ones; those below are LSTMs. None for
            all.
        dropout: between layers.
        skip_connections: layers above the first read [h_t^k; x_t] (Graves 2013).
        residuals: layers above the first add what they read of the layer below to their output.
        fusion: makes the fusion of layer k (from 0) from its number and its input's width, or
            None for a layer that reads no source.
        return_attention: whether the last layer's attention is returned without a source too.
        layer_options: see ``LSTMNLayer``.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        layers=1,
        tape_layers=None,
        dropout=0.0,
        skip_connections=False,
        residuals=False,
        fusion=lambda k, width: None,
        return_attention=False,
        **layer_options,
    ):
        super().__init__()
        above = hidden_size + input_size if skip_connections else hidden_size
        widths = [input_size] + [above] * (layers - 1)
        lstms = 0 if tape_layers is None else layers - tape_layers
        lstm_options = {**layer_options, **LSTM}
        self.layers = nn.ModuleList(
            LSTMNLayer(
                width,
                hidden_size,
                fusion=fusion(k, width),
                **(lstm_options if k < lstms else layer_options),
            )
            for k, width in enumerate(widths)
        )
        self.dropout = FairseqDropout(dropout, module_name=self.__class__.__name__)
        self.skip_connections = skip_connections
        self.residuals = residuals
        self.return_attention = return_attention

    def forward(self, x, tapes=None, lengths=None, sources=None):
        """Read x (B, T, D) behind one ``Tape`` a layer, beside one ``SourceTape`` a layer.

        Returns outputs (B, T, H), the whole new tapes, and the ``Attention`` of the topmost layer
        that is to return it, None if there is no such.
        """
        nothing = [None] * len(self.layers)
        last = self.layers[-1]
        below, grown, attention = None, [], None
        for layer, tape, source in zip(self.layers, tapes or nothing, sources or nothing):
            reads = x if below is None else self.dropout(below)
            if self.skip_connections and below is not None:
                reads = torch.cat([reads, x], dim=-1)
            asked = source is not None or (self.return_attention and layer is last)
            outputs, tape, found = layer(reads, tape, lengths, source, asked)
            below = outputs + below if self.residuals and below is not None else outputs
            grown.append(tape)
            attention = found or attention
        return below, grown, attention

    def growing(self, tapes):
        """Copies of ``tapes``, or empty ones for None, that grow in place."""
        return [GrowingTape(tape) for tape in tapes or [None] * len(self.layers)]

    def needed(self, tapes):
        """What later steps need of ``tapes``."""
        return [layer.needed(tape) for layer, tape in zip(self.layers, tapes)]

    def sources(self, hidden, memory, mask):
        """A ``SourceTape`` for every layer with a fusion, of an encoder's tapes (B, S, G) a layer.

        Deep fusion reads the encoder's layer of the same number, shallow fusion its last one.
        ``mask`` (B, S) is True at real tokens.
        """
        found = []
        for k, layer in enumerate(self.layers):
            source = k if isinstance(layer.fusion, DeepFusion) else -1
            found.append(
                layer.fusion and layer.fusion.prepare(hidden[source], memory[source], mask)
            )
        return found
