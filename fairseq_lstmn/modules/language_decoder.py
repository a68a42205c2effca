"""The decoder of the LSTMN language model, which may carry its tapes from block to block.

B batch, T steps, P prefix slots, O features, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from fairseq.data import Dictionary
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.decoder import DecoderState, IncrementalState, LSTMNDecoder, Read
from fairseq_lstmn.modules.encoder import EncoderOut
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from fairseq_lstmn.modules.output_layer import OutputLayer
from fairseq_lstmn.modules.pointer import Pointer
from fairseq_lstmn.ops import Tape

Carried: TypeAlias = tuple[list[Tape], Tensor]  # tapes, and the words (B, P) on them
# the same as a checkpoint has it: each tape's fields
CarriedState: TypeAlias = tuple[list[tuple[Tensor | None, ...]], Tensor]


class LSTMNLanguageDecoder(LSTMNDecoder):
    """``LSTMNDecoder`` without a source.

    With ``carry_tape`` N > 0 a batch hands each tape's latest N slots to the one that continues
    it. A ``pointer``, a ``Pointer``, adds the words on the topmost layer's tape to what comes next;
    the stack must return that layer's attention.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        embedding: nn.Embedding,
        stack: LSTMNStack,
        output: OutputLayer,
        dropout_in: float,
        max_positions: int,
        carry_tape: int = 0,
        pointer: Pointer | None = None,
    ) -> None:
        super().__init__(dictionary, embedding, stack, output, dropout_in, max_positions)
        self.carried = CarriedTapes(carry_tape) if carry_tape else None
        self.pointer = pointer

    def read_on(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut | None = None,
        incremental_state: IncrementalState | None = None,
        src_lengths: Tensor | None = None,
        continues: bool | None = None,
    ) -> Read:
        """``Read`` of right-padded rows (B, T) of ``src_lengths`` (B,).

        ``continues`` says whether every row goes on where the same row of the previous batch
        ended; None where the task does not say. Raises InputError for training with carried
        tapes on such a task.
        """
        if incremental_state is not None:
            return super().read_on(prev_output_tokens, None, incremental_state)
        tapes, words = self.take_carried(continues, prev_output_tokens)
        x, tapes, attention = self.read(prev_output_tokens, DecoderState(tapes, None), src_lengths)
        if self.carried is not None and continues is not None:
            self.carried.keep(self.training, tapes, words)
        return Read(x, attention, words)

    def take_carried(
        self, continues: bool | None, tokens: Tensor
    ) -> tuple[list[Tape] | None, Tensor]:
        """Tapes or None, and the words on them with ``tokens`` (B, T) behind: (B, P + T)."""
        if self.carried is None:
            return None, tokens
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

    def scores(self, read: Read) -> Tensor:
        """Scores (B, T, V) of the words that follow; log-probabilities with a pointer."""
        features = self.features(read)
        scores = self.output_layer(features)
        if self.pointer is None:
            return scores
        assert read.attention is not None  # which the stack returns
        # of an output dictionary that is shorter, as fairseq has targets
        beyond = read.words >= scores.size(-1)
        words = read.words.masked_fill(beyond, self.dictionary.unk())
        said: Tensor = self.pointer(scores, features, read.attention.tape, words)
        return said


class CarriedTapes:
    """The latest slots of each layer's tape and their words, handed from batch to batch.

    Kept apart for training and evaluation, so that a validation run in the middle of an epoch
    leaves the training text's tapes alone. Those of training are in the checkpoints
    (``patches.trainer_checkpoints``). Rows of a text that goes on are never padded, so a word's
    column is its slot's.
    """

    SAVED_AS = "carried_tapes"  # in a checkpoint's extra state: ``state()`` of each process by rank

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.kept: dict[bool, Carried] = {}  # by whether it is training's

    @staticmethod
    def of(model: Any) -> "CarriedTapes | None":
        """What a model of any class carries; None for one that carries nothing."""
        carried = getattr(getattr(model, "decoder", None), "carried", None)
        return carried if isinstance(carried, CarriedTapes) else None

    def take(self, training: bool, rows: int) -> Carried | None:
        """Tapes and words (B, P) of the first ``rows`` rows, as streams end from the last row on.

        None if there are none.
        """
        if training not in self.kept:
            return None
        tapes, words = self.kept[training]
        if len(words) < rows:
            return None
        return [tape.map(lambda part: part[:rows]) for tape in tapes], words[:rows]

    def keep(self, training: bool, tapes: Sequence[Tape], words: Tensor) -> None:
        """Keep the latest slots of ``tapes``, cut off from the graph that made them."""
        kept = [tape.latest(self.slots).map(lambda part: part.detach()) for tape in tapes]
        self.kept[training] = kept, words[:, -self.slots :]

    def state(self) -> CarriedState | None:
        """Training's tapes and words as plain tuples of tensors on the CPU; None without any."""
        if True not in self.kept:
            return None
        tapes, words = self.kept[True]
        # copies: what is kept are views, with which a checkpoint would hold all they look at
        copied = [tuple(tape.map(lambda part: part.cpu().clone())) for tape in tapes]
        return copied, words.cpu().clone()

    def restore(self, state: CarriedState, device: torch.device | str) -> None:
        """Put what ``state`` returned back, on ``device``."""
        tapes, words = state
        moved = [Tape._make(parts).map(lambda part: part.to(device)) for parts in tapes]
        self.kept[True] = moved, words.to(device)
