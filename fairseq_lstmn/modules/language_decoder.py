"""The decoder of the LSTMN language model, which may carry its tapes from block to block.

B batch, T steps, P prefix slots, O features, V vocabulary.
"""

import torch

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.decoder import DecoderState, LSTMNDecoder, Read
from fairseq_lstmn.ops import Tape


class LSTMNLanguageDecoder(LSTMNDecoder):
    """``LSTMNDecoder`` without a source.

    With ``carry_tape`` N > 0 a batch hands each tape's latest N slots to the one that continues
    it. A ``pointer``, a ``Pointer``, adds the words on the topmost layer's tape to what comes next;
    the stack must return that layer's attention.
    """

    def __init__(self, *args, carry_tape=0, pointer=None):
        super().__init__(*args)
        self.carried = CarriedTapes(carry_tape) if carry_tape else None
        self.pointer = pointer

    def read_on(
        self,
        prev_output_tokens,
        encoder_out=None,
        incremental_state=None,
        src_lengths=None,
        continues=None,
    ):
        """``Read`` of right-padded rows (B, T) of ``src_lengths`` (B,).

        ``continues`` says whether every row goes on where the same row of the previous batch
        ended; None where the task does not say. Raises InputError for training with carried
        tapes on such a task.
        """
        if incremental_state is not None:
            return super().read_on(prev_output_tokens, None, incremental_state)
        tapes, words = None, prev_output_tokens
        if self.carried is not None:
            tapes, words = self.take_carried(continues, prev_output_tokens)
        x, tapes, attention = self.read(prev_output_tokens, DecoderState(tapes, None), src_lengths)
        if self.carried is not None and continues is not None:
            self.carried.keep(self.training, tapes, words)
        return Read(x, attention, words)

    def take_carried(self, continues, tokens):
        """Tapes or None, and the words on them with ``tokens`` (B, T) behind: (B, P + T)."""
        if continues is None and self.training:
            raise InputError(
                f"--carry-tape {self.carried.slots}: needs --task contiguous_language_modeling, "
                "the batches of this task do not continue one another"
            )
        found = self.carried.take(self.training, len(tokens)) if continues else None
        if found is None:
            return None, tokens
        tapes, words = found
        return tapes, torch.cat([words, tokens], dim=1)

    def scores(self, read):
        """Scores (B, T, V) of the words that follow; log-probabilities with a pointer."""
        features = self.features(read)
        scores = self.output_layer(features)
        if self.pointer is None:
            return scores
        return self.pointer(scores, features, read.attention.tape, read.words)


class CarriedTapes:
    """The latest slots of each layer's tape and their words, handed from batch to batch.

    Kept apart for training and evaluation, so that a validation run in the middle of an epoch
    leaves the training text's tapes alone. Those of training are in the checkpoints
    (``training.carried``). Rows of a text that goes on are never padded, so a word's column is its
    slot's.
    """

    def __init__(self, slots):
        self.slots = slots
        self.kept = {}

    def take(self, training, rows):
        """Tapes and words (B, P) of the first ``rows`` rows, as streams end from the last row on.

        None if there are none.
        """
        if training not in self.kept:
            return None
        tapes, words = self.kept[training]
        if len(words) < rows:
            return None
        return [tape.map(lambda part: part[:rows]) for tape in tapes], words[:rows]

    def keep(self, training, tapes, words):
        """Keep the latest slots of ``tapes``, cut off from the graph that made them."""
        kept = [tape.latest(self.slots).map(lambda part: part.detach()) for tape in tapes]
        self.kept[training] = kept, words[:, -self.slots :]

    def state(self):
        """Training's tapes and words as plain tuples of tensors on the CPU; None without any."""
        if True not in self.kept:
            return None
        tapes, words = self.kept[True]
        # copies: what is kept are views, with which a checkpoint would hold all they look at
        copied = [tuple(tape.map(lambda part: part.cpu().clone())) for tape in tapes]
        return copied, words.cpu().clone()

    def restore(self, state, device):
        """Put what ``state`` returned back, on ``device``."""
        tapes, words = state
        moved = [Tape(*parts).map(lambda part: part.to(device)) for parts in tapes]
        self.kept[True] = moved, words.to(device)
