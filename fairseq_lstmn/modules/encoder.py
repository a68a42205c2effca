"""The LSTMN encoder: all layers' tapes, and where a decoder starts.

B batch, S source length, D embedding width, H hidden width, K layers, G = H or, in both
directions, 2H.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from fairseq.data import Dictionary
from fairseq.models import FairseqEncoder
from fairseq.modules import FairseqDropout
from torch import Tensor, nn

from fairseq_lstmn.modules.lstmn_layer import LayerOptions, LSTMNLayer
from fairseq_lstmn.modules.padding import reverse, to_left_padded, to_right_padded
from fairseq_lstmn.ops import Tape

if TYPE_CHECKING:  # typing has it since Python 3.11
    from typing_extensions import Unpack

EncoderOut: TypeAlias = dict[str, list[Tensor]]  # see LSTMNEncoder.forward
States: TypeAlias = tuple[Tensor, Tensor]  # h and c (B, G)


class LSTMNEncoder(FairseqEncoder):
    """Stacked LSTMN over the source.

    Args:
        hidden_size: H.
        layers: K.
        bidirectional: every layer reads its input in both directions.
        dropout_in: dropout on embeddings.
        dropout_out: dropout on every layer's tapes as layers above and the decoder read them;
            not on the states that a decoder starts from. As in fairseq's LSTM encoder.
    """

    # each an nn.ModuleList, whose own type does not say of what
    forwards: Sequence[LSTMNLayer]
    backwards: Sequence[LSTMNLayer]

    def __init__(
        self,
        dictionary: Dictionary,
        embedding: nn.Embedding,
        hidden_size: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout_in: float = 0.0,
        dropout_out: float = 0.0,
        max_positions: int = int(1e5),
        **layer_options: "Unpack[LayerOptions]",
    ) -> None:
        super().__init__(dictionary)
        self.embed_tokens = embedding
        self.output_size = 2 * hidden_size if bidirectional else hidden_size
        widths = [embedding.embedding_dim] + [self.output_size] * (layers - 1)

        for name, inputs in (("forwards", widths), ("backwards", widths if bidirectional else [])):
            layers_of = (LSTMNLayer(width, hidden_size, **layer_options) for width in inputs)
            self.add_module(name, nn.ModuleList(layers_of))
        self.dropout_in = FairseqDropout(dropout_in, module_name=self.__class__.__name__)
        self.dropout_out = FairseqDropout(dropout_out, module_name=self.__class__.__name__)
        self.longest = max_positions

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor | None = None, **kwargs: object
    ) -> EncoderOut:
        """Read src_tokens (B, S), padded on either side; ``src_lengths`` is told from them.

        Returns lists of tensors: ``hidden`` and ``memory``, a tape (B, S, G) a layer in the order
        of ``src_tokens``; ``last_hidden`` and ``last_memory``, a state (B, G) a layer;
        ``encoder_padding_mask``, one (B, S), True at padding; and ``rows``, one (B,): row b of
        the batch reads row ``rows[b]`` of all others, which ``reorder_encoder_out`` leaves alone.
        """
        padding = src_tokens.eq(self.dictionary.pad())
        lengths = (~padding).sum(dim=1)
        # a device is waited for once, not in every layer
        on_host, starts_padded = torch.stack([lengths, padding[:, :1].sum(dim=1)]).cpu()
        ragged = bool((on_host < padding.size(1)).any())
        left_padded = bool(starts_padded.any())
        x = self.dropout_in(self.embed_tokens(src_tokens))
        if left_padded:
            x = to_right_padded(x, lengths)
        names = "hidden", "memory", "last_hidden", "last_memory"
        encoded: EncoderOut = {name: [] for name in names}
        for k in range(len(self.forwards)):
            x, memory, last = self.forward_layer(k, x, *((lengths, on_host) if ragged else ()))
            x = self.dropout_out(x)
            tapes = [x, self.dropout_out(memory)]
            if left_padded:
                tapes = [to_left_padded(tape, lengths) for tape in tapes]
            for name, value in zip(names, (*tapes, *last)):
                encoded[name].append(value)
        rows = torch.arange(len(src_tokens), device=src_tokens.device)
        return {**encoded, "encoder_padding_mask": [padding], "rows": [rows]}

    def forward_layer(
        self, k: int, x: Tensor, lengths: Tensor | None = None, on_host: Tensor | None = None
    ) -> tuple[Tensor, Tensor, States]:
        """Layer k over right-padded x: hidden and memory tape (B, S, G), last h and c (B, G).

        ``on_host`` is a copy of ``lengths`` there.
        """
        tape: Tape
        outputs, tape, _ = self.forwards[k](x, lengths=on_host)
        memory, last = tape.memory, (tape.hidden[:, -1], tape.memory[:, -1])
        if lengths is not None:
            memory = to_right_padded(memory, lengths)
        if not self.backwards:
            return outputs, memory, last
        outputs_back, tape, _ = self.backwards[k](reverse(x, lengths), lengths=on_host)
        last_back = tape.hidden[:, -1], tape.memory[:, -1]
        return (
            torch.cat([outputs, reverse(outputs_back, lengths)], dim=2),
            torch.cat([memory, tape.memory.flip(1)], dim=2),
            (torch.cat([last[0], last_back[0]], dim=1), torch.cat([last[1], last_back[1]], dim=1)),
        )

    def reorder_encoder_out(self, encoder_out: EncoderOut, new_order: Tensor) -> EncoderOut:
        """Row b becomes what row ``new_order[b]`` was."""
        return {**encoder_out, "rows": [encoder_out["rows"][0].index_select(0, new_order)]}

    def max_positions(self) -> int:
        return self.longest
