"""The decoder of the LSTMN language model.

B batch, T steps, V vocabulary.
"""

from fairseq.models import FairseqIncrementalDecoder
from fairseq.modules import FairseqDropout

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.tape_memory import CarriedTapes, load_tapes, save_tapes


class LSTMNLanguageDecoder(FairseqIncrementalDecoder):
    """Embedding, LSTMN stack and output layer.

    Args:
        dictionary: fairseq's Dictionary.
        embedding: of its words.
        stack: ``LSTMNStack``.
        output: ``OutputLayer``.
        dropout_in: dropout on embeddings.
        max_positions: the longest row it accepts.
        carry_tape: how many of each tape's latest slots a batch hands to the one that continues
            it; 0 for none.
    """

    def __init__(
        self, dictionary, embedding, stack, output, dropout_in, max_positions, carry_tape=0
    ):
        super().__init__(dictionary)
        self.embed_tokens = embedding
        self.dropout_in = FairseqDropout(dropout_in, module_name=self.__class__.__name__)
        self.stack = stack
        self.output = output
        self.adaptive_softmax = output.adaptive_softmax  # where fairseq's criterion looks
        self.longest = max_positions
        self.carried = CarriedTapes(carry_tape) if carry_tape else None

    def forward(
        self,
        prev_output_tokens,
        encoder_out=None,
        incremental_state=None,
        src_lengths=None,
        continues=None,
    ):
        """Scores (B, T, V) of the next tokens, and fairseq's dictionary of extras.

        Args:
            prev_output_tokens (B, T): right-padded rows; with ``incremental_state`` the first
                call reads all of them and each later call the last column only.
            src_lengths (B,): the rows' lengths.
            continues: whether every row goes on where the same row of the previous batch ended;
                None where the task does not say.

        Raises:
            InputError: training with carried tapes on batches that do not continue one another.
        """
        x = self.extract_features(prev_output_tokens, incremental_state, src_lengths, continues)
        return self.output_layer(x), {"attn": [None]}

    def extract_features(
        self, prev_output_tokens, incremental_state=None, src_lengths=None, continues=None
    ):
        """``forward`` without the output layer's last map: (B, T, O)."""
        tapes = None
        if incremental_state is not None:
            tapes = load_tapes(self, incremental_state, len(self.stack.layers))
            src_lengths = None
        elif self.carried is not None:
            tapes = self.take_carried(continues, len(prev_output_tokens))
        if incremental_state is not None and tapes is not None:
            prev_output_tokens = prev_output_tokens[:, -1:]

        x = self.dropout_in(self.embed_tokens(prev_output_tokens))
        x, tapes = self.stack(x, tapes, src_lengths)

        if incremental_state is not None:
            save_tapes(self, incremental_state, tapes)
        elif self.carried is not None and continues is not None:
            self.carried.keep(self.training, tapes)
        return self.output.features(x)

    def take_carried(self, continues, rows):
        if continues is None and self.training:
            raise InputError(
                f"--carry-tape {self.carried.slots}: needs --task contiguous_language_modeling, "
                "the batches of this task do not continue one another"
            )
        return self.carried.take(self.training, rows) if continues else None

    def output_layer(self, features):
        """Features (B, T, O) to scores (B, T, V)."""
        return self.output(features, self.embed_tokens.weight)

    def reorder_incremental_state(self, incremental_state, new_order):
        """Follow the beam: row b becomes what row ``new_order[b]`` was."""
        tapes = load_tapes(self, incremental_state, len(self.stack.layers))
        if tapes is not None:
            reordered = [tape.map(lambda part: part.index_select(0, new_order)) for tape in tapes]
            save_tapes(self, incremental_state, reordered)

    def max_positions(self):
        return self.longest
