"""Layers of LSTMN on each other, each with a tape of its own.

B batch, T steps, S source length, D input width, G encoder width, H hidden width, K layers.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from fairseq.modules import FairseqDropout
from torch import Tensor, nn

from fairseq_lstmn.modules.fusion import Fusion, SourceTape
from fairseq_lstmn.modules.lstmn_layer import AnyTape, LayerOptions, LSTMNLayer
from fairseq_lstmn.modules.output_layer import StateAttention
from fairseq_lstmn.ops import Attention, GrowingTape, Tape

if TYPE_CHECKING:  # typing has it since Python 3.11
    from typing_extensions import Unpack

LSTM: LayerOptions = {"memory_span": 1, "distance_bias": 0}
# the fusion of layer k with inputs of a width
MakeFusion: TypeAlias = Callable[[int, int], Fusion | None]


def no_fusion(k: int, width: int) -> None:
    """Of a stack that reads no source."""


class LSTMNStack(nn.Module):
    """Equation 10 of Cheng et al. 2016.

    Args:
        tape_layers: how many layers have a tape, the last ones; those below are LSTMs. None for
            all.
        dropout: between layers.
        skip_connections: layers above the first read [h_t^k; x_t] (Graves 2013).
        residuals: layers above the first add what they read of the layer below to their output.
        fusion: makes the fusion of layer k (from 0) from its number and its input's width, or
            None for a layer that reads no source.
        return_attention: whether the attention to the text is returned without a source too: the
            last layer's, or if none has a tape ``StateAttention``'s.

    Attributes:
        state_attention: the ``StateAttention``, or None. Its tape follows those of the layers.
    """

    layers: Sequence[LSTMNLayer]  # an nn.ModuleList, whose own type does not say of what

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        tape_layers: int | None = None,
        dropout: float = 0.0,
        skip_connections: bool = False,
        residuals: bool = False,
        fusion: MakeFusion = no_fusion,
        return_attention: bool = False,
        **layer_options: "Unpack[LayerOptions]",
    ) -> None:
        super().__init__()
        self.output_size = hidden_size
        above = hidden_size + input_size if skip_connections else hidden_size
        widths = [input_size] + [above] * (layers - 1)
        lstms = 0 if tape_layers is None else layers - tape_layers
        lstm_options: LayerOptions = {**layer_options, **LSTM}
        modules = (
            LSTMNLayer(
                width,
                hidden_size,
                fusion=fusion(k, width),
                **(lstm_options if k < lstms else layer_options),
            )
            for k, width in enumerate(widths)
        )
        self.add_module("layers", nn.ModuleList(modules))
        self.dropout = FairseqDropout(dropout, module_name=self.__class__.__name__)
        self.skip_connections = skip_connections
        self.residuals = residuals
        self.state_attention: StateAttention | None = None
        if return_attention and tape_layers == 0:
            self.state_attention = StateAttention(hidden_size, layer_options.get("memory_span", 0))
        self.return_attention = return_attention and self.state_attention is None

    def forward(
        self,
        x: Tensor,
        tapes: Sequence[AnyTape] | None = None,
        lengths: Tensor | None = None,
        sources: Sequence[SourceTape | None] | None = None,
        whole_tapes: bool = True,
    ) -> tuple[Tensor, list[AnyTape], Attention | None]:
        """Read x (B, T, D) behind one ``Tape`` a layer, beside one ``SourceTape`` a layer.

        Returns outputs (B, T, H), the new tapes (see ``LSTMNLayer``), and the ``Attention`` of
        ``state_attention`` or the topmost layer that is to return it, None if there is no such.
        """
        if lengths is not None:
            lengths = lengths.cpu()  # a device is waited for once, not in every layer
        nothing = [None] * len(self.layers)
        first, last = self.layers[0], self.layers[-1]
        below, attention = x, None
        new_tapes: list[AnyTape] = []
        for layer, tape, source in zip(self.layers, tapes or nothing, sources or nothing):
            inputs = x if layer is first else self.dropout(below)
            if self.skip_connections and layer is not first:
                inputs = torch.cat([inputs, x], dim=-1)
            returns = source is not None or (self.return_attention and layer is last)
            outputs, tape, attended = layer(inputs, tape, lengths, source, returns, whole_tapes)
            below = outputs + below if self.residuals and layer is not first else outputs
            new_tapes.append(tape)
            attention = attended or attention
        if self.state_attention is not None:
            own = (tapes or nothing)[len(self.layers) :]  # none in the first call of a decoding
            attention, tape = self.state_attention(below, *own, lengths=lengths)
            new_tapes.append(tape)
        return below, new_tapes, attention

    def caches(self, tapes: Sequence[Tape] | None) -> list[GrowingTape]:
        """Copies of ``tapes``, or empty ones for None, that grow in place."""
        if tapes is None:
            return [GrowingTape() for _ in self.layers]
        return [GrowingTape(tape) for tape in tapes]

    def needed(self, tapes: Sequence[AnyTape]) -> list[AnyTape]:
        """What later steps need of ``tapes``."""
        of_states = list(tapes[len(self.layers) :])
        return [layer.needed(tape) for layer, tape in zip(self.layers, tapes)] + of_states

    def sources(
        self, hidden: Sequence[Tensor], memory: Sequence[Tensor], mask: Tensor
    ) -> list[SourceTape | None]:
        """A ``SourceTape`` for every layer with a fusion, of an encoder's tapes (B, S, G) a layer.

        ``mask`` (B, S) is True at real tokens.
        """

        def source(k: int, fusion: Fusion | None) -> SourceTape | None:
            if fusion is None:
                return None
            read = k if fusion.in_every_layer else -1
            return fusion.prepare(hidden[read], memory[read], mask)

        return [source(k, layer.fusion) for k, layer in enumerate(self.layers)]
