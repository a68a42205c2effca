"""The decoder of the LSTMN language model, which may carry its tapes from block to block.

B batch, T steps, P prefix slots, O features, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.decoder import Decoded, DecoderState, IncrementalState, LSTMNDecoder
from fairseq_lstmn.modules.encoder import EncoderOut
from fairseq_lstmn.modules.output_layer import Pointer
from fairseq_lstmn.ops import Tape

Carried: TypeAlias = tuple[list[Tape], Tensor]  # tapes, and the words (B, P) on them
# the same as a checkpoint has it: each tape's fields
CarriedState: TypeAlias = tuple[list[tuple[Tensor | None, ...]], Tensor]


class LSTMNLanguageDecoder(LSTMNDecoder):
    """``LSTMNDecoder``, of the same ``parts``, without a source.

    With ``carry_tape`` N > 0 a batch hands each tape's latest N slots to the one that continues
    it. A ``pointer``, a ``Pointer``, adds the words that the stack attends to what comes next; the
    stack must return its attention.
    """

    def __init__(self, *parts: Any, carry_tape: int = 0, pointer: Pointer | None = None) -> None:
        super().__init__(*parts)
        self.carried = CarriedTapes(carry_tape) if carry_tape else None
        self.pointer = pointer

    def decode(
        self,
        prev_output_tokens: Tensor,
        encoder_out: EncoderOut | None = None,
        incremental_state: IncrementalState | None = None,
        src_lengths: Tensor | None = None,
        continues: bool | None = None,
    ) -> Decoded:
        """``Decoded`` of right-padded rows (B, T) of ``src_lengths`` (B,).

        ``continues`` says whether every row goes on where the same row of the previous batch
        ended; None where the task does not say. Raises InputError for training with carried
        tapes on such a task.
        """
        if incremental_state is not None:
            return super().decode(prev_output_tokens, None, incremental_state)
        tapes, words = self.take_carried(continues, prev_output_tokens)
        state = DecoderState(tapes, None)
        x, tapes, attention = self.forward_stack(prev_output_tokens, state, src_lengths)
        if self.carried is not None and continues is not None:
            self.carried.store(self.training, tapes, words)
        return Decoded(x, attention, words)

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
        carried = self.carried.take(self.training, len(tokens)) if continues else None
        if carried is None:
            return None, tokens
        tapes, words = carried
        return tapes, torch.cat([words, tokens], dim=1)

    def scores(self, decoded: Decoded) -> Tensor:
        """Scores (B, T, V) of the words that follow; log-probabilities with a pointer."""
        features = self.features(decoded)
        scores = self.output_layer(features)
        if self.pointer is None:
            return scores
        assert decoded.attention is not None  # which the stack returns
        # of an output dictionary that is shorter, as fairseq has targets
        beyond = decoded.words >= scores.size(-1)
        words = decoded.words.masked_fill(beyond, self.dictionary.unk())
        return self.pointer(scores, features, decoded.attention.tape, words)

    def get_normalized_probs(
        self, net_output: tuple[Tensor, Any], log_probs: bool, sample: Any = None
    ) -> Tensor:
        """fairseq's; what a pointer says in training is not normalised once more.

        That would be two passes over (B, T, V). Otherwise a temperature may have divided it.
        """
        if self.pointer is None or not self.training:
            return super().get_normalized_probs(net_output, log_probs, sample)
        scores = net_output[0]
        return scores if log_probs else scores.exp()


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
        self.latest: dict[bool, Carried] = {}  # by whether it is training's

    @staticmethod
    def of(model: Any) -> "CarriedTapes | None":
        """What a model of any class carries; None for one that carries nothing."""
        carried = getattr(getattr(model, "decoder", None), "carried", None)
        return carried if isinstance(carried, CarriedTapes) else None

    def take(self, training: bool, rows: int) -> Carried | None:
        """Tapes and words (B, P) of the first ``rows`` rows, as streams end from the last row on.

        None if there are none.
        """
        if training not in self.latest:
            return None
        tapes, words = self.latest[training]
        if len(words) < rows:
            return None
        return [tape.map(lambda part: part[:rows]) for tape in tapes], words[:rows]

    def store(self, training: bool, tapes: Sequence[Tape], words: Tensor) -> None:
        """Store the latest slots of ``tapes``, cut off from their graph."""
        detached = [tape.latest(self.slots).map(lambda part: part.detach()) for tape in tapes]
        self.latest[training] = detached, words[:, -self.slots :]

    def state(self) -> CarriedState | None:
        """Training's tapes and words as plain tuples of tensors on the CPU; None without any."""
        if True not in self.latest:
            return None
        tapes, words = self.latest[True]
        # copies: these are views, with which a checkpoint would hold all they look at
        copied = [tuple(tape.map(lambda part: part.cpu().clone())) for tape in tapes]
        return copied, words.cpu().clone()

    def restore(self, state: CarriedState, device: torch.device | str) -> None:
        """Put what ``state`` returned back, on ``device``."""
        tapes, words = state
        moved = [Tape._make(parts).map(lambda part: part.to(device)) for parts in tapes]
        self.latest[True] = moved, words.to(device)
