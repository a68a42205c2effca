"""Layers of LSTMN on each other, each with a tape of its own.

B batch, T steps, D input width, H hidden width, K layers.
"""

import torch
from fairseq.modules import FairseqDropout
from torch import nn

from fairseq_lstmn.modules.lstmn_layer import LSTMNLayer


class LSTMNStack(nn.Module):
    """Equation 10 of Cheng et al. 2016.

    Args:
        input_size: D.
        hidden_size: H, of every layer.
        layers: K.
        dropout: after every layer, the last one included.
        skip_connections: layers above the first read [h_t^k; x_t] (Graves 2013).
        residuals: layers above the first add what they read of the layer below to their output.
        layer_options: see ``LSTMNLayer``.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        layers=1,
        dropout=0.0,
        skip_connections=False,
        residuals=False,
        **layer_options,
    ):
        super().__init__()
        above = hidden_size + input_size if skip_connections else hidden_size
        self.layers = nn.ModuleList(
            LSTMNLayer(input_size if k == 0 else above, hidden_size, **layer_options)
            for k in range(layers)
        )
        self.dropout = FairseqDropout(dropout, module_name=self.__class__.__name__)
        self.skip_connections = skip_connections
        self.residuals = residuals

    def forward(self, x, tapes=None, lengths=None):
        """Read x (B, T, D) behind one ``Tape`` a layer (or None): outputs (B, T, H), new tapes."""
        tapes = [None] * len(self.layers) if tapes is None else tapes
        below, handed_on = None, []
        for layer, tape in zip(self.layers, tapes):
            reads = x if below is None else below
            if self.skip_connections and below is not None:
                reads = torch.cat([below, x], dim=-1)
            outputs, tape, _ = layer(reads, tape, lengths)
            outputs = self.dropout(outputs)
            below = outputs + below if self.residuals and below is not None else outputs
            handed_on.append(tape)
        return below, handed_on
