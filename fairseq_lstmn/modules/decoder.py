"""The LSTMN decoder, of language models and, with a source, of encoder-decoders.

B batch, T steps, S source length, H hidden width, G encoder width, V vocabulary, O features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeAlias

from fairseq.data import Dictionary
from fairseq.models import FairseqIncrementalDecoder
from fairseq.modules import FairseqDropout
from torch import Tensor, nn

from fairseq_lstmn.modules.encoder import EncoderOut
from fairseq_lstmn.modules.fusion import SourceTape, to_width
from fairseq_lstmn.modules.lstmn_layer import AnyTape
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from fairseq_lstmn.modules.output_layer import OutputLayer
from fairseq_lstmn.ops import Attention, GrowingTape, Tape

STATE = "lstmn_state"
IncrementalState: TypeAlias = dict[str, Any]  # fairseq's: each module's, by its key


@dataclass(frozen=True)
class DecoderState(Generic[AnyTape]):
    """Where a decoder stands, an entry a layer, and of the tapes one of the ``StateAttention``.

    The layers' caches between the calls of incremental decoding are ``GrowingTape``s, which grow
    and change their rows in place.
    """

    tapes: list[AnyTape] | None
    sources: list[SourceTape | None] | None

    def reorder(self, rows: Tensor) -> "DecoderState[AnyTape]":
        """The state with ``rows`` (B',) for its rows; this one is no longer valid."""
        return DecoderState(
            self.tapes and [tape.reorder(rows) for tape in self.tapes],
            self.sources and [source and source.reorder(rows) for source in self.sources],
        )


class Decoded(NamedTuple):
    """A decoder's states after T words behind P others."""

    states: Tensor  # (B, T, H), of the last layer
    attention: Attention | None  # of the topmost layer that returns it
    words: Tensor  # (B, P + T)

    @property
    def source_attention(self) -> Tensor | None:
        """The attention (B, T, S) to the source, None without one."""
        return None if self.attention is None else self.attention.source


class LSTMNDecoder(FairseqIncrementalDecoder):
    """Embedding, dropout, an LSTMN stack whose fusions read the encoder's, and output layer.

    With a ``start`` it starts where an encoder ended.
    """

    # fairseq's decorator of the base class adds them
    get_incremental_state: Callable[
        [IncrementalState | None, str], DecoderState[GrowingTape] | None
    ]
    set_incremental_state: Callable[
        [IncrementalState | None, str, DecoderState[GrowingTape]], IncrementalState | None
    ]

    def __init__(
        self,
        dictionary: Dictionary,
        embedding: nn.Embedding,
        stack: LSTMNStack,
        output: OutputLayer,
        dropout_in: float,
        max_positions: int,
        start: "EncoderStart | None" = None,
    ) -> None:
        super().__init__(dictionary)
        self.embed_tokens = embedding
        self.dropout_in = FairseqDropout(dropout_in, module_name=self.__class__.__name__)
        self.stack = stack
        self.output = output
        self.adaptive_softmax = output.adaptive_softmax  # where fairseq's criterion looks
        self.longest = max_positions
        self.start = start
        self.need_attn = True

    def make_generation_fast_(self, need_attn: bool = False, **kwargs: object) -> None:
        """As fairseq's decoders: no attention in the extras unless alignments are asked for."""
        self.need_attn = need_attn

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut | None = None,
        incremental_state: IncrementalState | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, list[Tensor | None]]]:
        """Scores (B, T, V) of the next tokens, and fairseq's dictionary of extras.

        Args:
            prev_output_tokens (B, T): right-padded rows; with ``incremental_state`` the first
                call reads all of them and each later call the last column only.
            encoder_out: what ``LSTMNEncoder`` returned.

        The extras hold under ``attn`` a list with the attention (B, T, S) to the source of the
        topmost layer that has one, or None; None too where fairseq decodes without alignments.
        """
        decoded = self.decode(prev_output_tokens, encoder_out, incremental_state, **kwargs)
        attn = decoded.source_attention if self.need_attn else None
        return self.scores(decoded), {"attn": [attn]}

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut | None = None,
        incremental_state: IncrementalState | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """``forward`` without the output layer's last map: (B, T, O), and the attention."""
        decoded = self.decode(prev_output_tokens, encoder_out, incremental_state, **kwargs)
        return self.features(decoded), decoded.source_attention

    def decode(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut | None = None,
        incremental_state: IncrementalState | None = None,
    ) -> Decoded:
        """``Decoded`` of what is new in ``prev_output_tokens``, which moves the state on."""
        state = self.get_incremental_state(incremental_state, STATE)
        tokens = prev_output_tokens
        if state is None:
            first = self.first_state(encoder_out)
            if incremental_state is None:
                x, _, attention = self.forward_stack(tokens, first)
                return Decoded(x, attention, prev_output_tokens)
            state = DecoderState(self.stack.caches(first.tapes), first.sources)
        else:
            tokens = tokens[:, -1:]
        x, tapes, attention = self.forward_stack(tokens, state)
        self.set_incremental_state(incremental_state, STATE, DecoderState(tapes, state.sources))
        return Decoded(x, attention, prev_output_tokens)

    def features(self, decoded: Decoded) -> Tensor:
        """What the output layer's last map reads (B, T, O)."""
        context = None if decoded.attention is None else decoded.attention.context
        return self.output.features(decoded.states, context)

    def scores(self, decoded: Decoded) -> Tensor:
        """Scores (B, T, V) of the words that follow."""
        return self.output_layer(self.features(decoded))

    def first_state(self, encoder_out: EncoderOut | None) -> DecoderState[Tape]:
        """Where decoding starts; without an encoder on empty tapes."""
        if encoder_out is None:
            return DecoderState(None, None)
        assert self.start is not None  # which a decoder behind an encoder has
        tapes: list[Tape] = self.start(encoder_out["last_hidden"], encoder_out["last_memory"])
        mask = ~encoder_out["encoder_padding_mask"][0]
        sources = self.stack.sources(encoder_out["hidden"], encoder_out["memory"], mask)
        return DecoderState(tapes, sources).reorder(encoder_out["rows"][0])

    def forward_stack(
        self, tokens: Tensor, state: DecoderState[AnyTape], lengths: Tensor | None = None
    ) -> tuple[Tensor, list[AnyTape], Attention | None]:
        """Outputs (B, T, H), new tapes and ``Attention`` or None after ``tokens`` (B, T)."""
        x = self.dropout_in(self.embed_tokens(tokens))
        tapes: list[AnyTape]
        x, tapes, attention = self.stack(x, state.tapes, lengths, state.sources, whole_tapes=False)
        return x, self.stack.needed(tapes), attention

    def output_layer(self, features: Tensor, **kwargs: object) -> Tensor:
        """Features (B, T, O) to scores (B, T, V)."""
        return self.output(features, self.embed_tokens.weight)

    def reorder_incremental_state(
        self, incremental_state: IncrementalState, new_order: Tensor
    ) -> None:
        """Follow the beam: row b becomes what row ``new_order[b]`` was."""
        state = self.get_incremental_state(incremental_state, STATE)
        if state is not None:
            self.set_incremental_state(incremental_state, STATE, state.reorder(new_order))

    def max_positions(self) -> int:
        return self.longest


class EncoderStart(nn.Module):
    """An encoder's last states as the decoder's first slots, projected where widths differ."""

    def __init__(self, encoder_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden = to_width(encoder_size, hidden_size)
        self.memory = to_width(encoder_size, hidden_size)

    def forward(self, last_hidden: Sequence[Tensor], last_memory: Sequence[Tensor]) -> list[Tape]:
        """A ``Tape`` of one slot for each layer's pair of states (B, G)."""
        return [
            Tape(self.hidden(h).unsqueeze(1), self.memory(c).unsqueeze(1))
            for h, c in zip(last_hidden, last_memory)
        ]
