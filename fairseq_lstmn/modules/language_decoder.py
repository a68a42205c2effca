"""The decoder of the LSTMN language model, which may carry its tapes from block to block.

B batch, T steps, O features.
"""

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.decoder import DecoderState, LSTMNDecoder


class LSTMNLanguageDecoder(LSTMNDecoder):
    """``LSTMNDecoder`` without a source.

    With ``carry_tape`` N > 0 a batch hands each tape's latest N slots to the one that continues
    it.
    """

    def __init__(self, *args, carry_tape=0):
        super().__init__(*args)
        self.carried = CarriedTapes(carry_tape) if carry_tape else None

    def extract_features(
        self,
        prev_output_tokens,
        encoder_out=None,
        incremental_state=None,
        src_lengths=None,
        continues=None,
    ):
        """Features (B, T, O) of right-padded rows of ``src_lengths`` (B,), and None.

        ``continues`` says whether every row goes on where the same row of the previous batch
        ended; None where the task does not say. Raises InputError for training with carried
        tapes on such a task.
        """
        if incremental_state is not None:
            return super().extract_features(prev_output_tokens, None, incremental_state)
        tapes = None
        if self.carried is not None:
            tapes = self.take_carried(continues, len(prev_output_tokens))
        x, tapes, _ = self.read(prev_output_tokens, DecoderState(tapes, None), src_lengths)
        if self.carried is not None and continues is not None:
            self.carried.keep(self.training, tapes)
        return self.output.features(x), None

    def take_carried(self, continues, rows):
        if continues is None and self.training:
            raise InputError(
                f"--carry-tape {self.carried.slots}: needs --task contiguous_language_modeling, "
                "the batches of this task do not continue one another"
            )
        return self.carried.take(self.training, rows) if continues else None


class CarriedTapes:
    """The latest slots of each layer's tape, handed from a batch to the one that continues it.

    Kept apart for training and evaluation, so that a validation run in the middle of an epoch
    leaves the training text's tapes alone. Not part of a checkpoint: after a resume in the
    middle of an epoch the first batch starts with empty tapes.
    """

    def __init__(self, slots):
        self.slots = slots
        self.tapes = {}

    def take(self, training, rows):
        """Tapes for the first ``rows`` rows (streams end from the last row on); None if none."""
        carried = self.tapes.get(training)
        if carried is None or carried[0].hidden.size(0) < rows:
            return None
        return [tape.map(lambda part: part[:rows]) for tape in carried]

    def keep(self, training, tapes):
        """Keep the latest slots of ``tapes``, cut off from the graph that made them."""
        self.tapes[training] = [
            tape.latest(self.slots).map(lambda part: part.detach()) for tape in tapes
        ]
