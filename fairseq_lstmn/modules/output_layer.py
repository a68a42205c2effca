"""From hidden states to the words that a decoder says.

B batch, T steps, P prefix slots, H hidden width, O features, V vocabulary, n slots.
"""

from collections.abc import Sequence

import torch
from fairseq.models.lstm import Linear
from fairseq.modules import AdaptiveSoftmax, FairseqDropout
from torch import Tensor, nn
from torch.nn import functional as F

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.padding import zero_padding
from fairseq_lstmn.ops import Attention, Tape

GATE_BIAS = 1.0  # a pointer's: 73% of what is said is the output layer's at first


class AttentionalOutput(nn.Module):
    """tanh(W [g~_t; h_t]), as in fairseq's LSTM decoder (Luong et al. 2015, equation 5).

    Cheng et al. 2016 do not say what a decoder predicts from; from h_t alone, training finds
    the alignment later (Multi30k in examples/translation/README.md).
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.join = Linear(2 * hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, T, H) of states x and contexts g~_t, (B, T, H) each."""
        return self.join(torch.cat([context, x], dim=-1)).tanh()


class OutputLayer(nn.Module):
    """What follows the last layer in fairseq's LSTM decoder.

    Hidden states (B, T, H), with ``attentional`` joined by contexts, become features (B, T, O) by
    a linear map where H != O, and scores (B, T, V) by a linear map of their own or, if
    ``shared``, by the first V rows of the embedding's weight. With ``adaptive_cutoff`` features
    are H wide and the criterion scores them.

    Raises:
        InputError: cutoffs of the adaptive softmax that do not fit the vocabulary.
    """

    def __init__(
        self,
        hidden_size: int,
        out_embed_dim: int,
        vocabulary: int,
        dropout: float,
        shared: bool = False,
        adaptive_cutoff: Sequence[int] | None = None,
        attentional: bool = False,
    ) -> None:
        super().__init__()
        self.attentional = AttentionalOutput(hidden_size) if attentional else None
        self.vocabulary = vocabulary
        self.dropout = FairseqDropout(dropout, module_name=self.__class__.__name__)
        self.adaptive_softmax: AdaptiveSoftmax | None = None
        self.to_features: nn.Linear | None = None
        self.to_scores: nn.Linear | None = None
        if adaptive_cutoff is not None:
            check_cutoff(adaptive_cutoff, vocabulary)
            self.adaptive_softmax = AdaptiveSoftmax(
                vocabulary, hidden_size, adaptive_cutoff, dropout=dropout
            )
            return
        if hidden_size != out_embed_dim:
            self.to_features = Linear(hidden_size, out_embed_dim)
        if not shared:
            self.to_scores = Linear(out_embed_dim, vocabulary)

    def features(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, T, O) of states x (B, T, H) and, if attentional, contexts g~_t (B, T, H)."""
        if self.attentional is not None:
            x = self.attentional(x, context)
        x = self.dropout(x)
        return x if self.to_features is None else self.dropout(self.to_features(x))

    def forward(self, x: Tensor, shared_weight: Tensor) -> Tensor:
        """Features (B, T, O) to scores (B, T, V); unchanged for the adaptive softmax."""
        if self.adaptive_softmax is not None:
            return x
        if self.to_scores is not None:
            return self.to_scores(x)
        return F.linear(x, shared_weight[: self.vocabulary])


def check_cutoff(cutoff: Sequence[int], vocabulary: int) -> None:
    if not cutoff or list(cutoff) != sorted(set(cutoff)) or not 0 < cutoff[-1] <= vocabulary:
        raise InputError(
            f"--adaptive-softmax-cutoff {','.join(map(str, cutoff))}: must rise and stay within "
            f"the vocabulary's {vocabulary} types"
        )


class StateAttention(nn.Module):
    """What a pointer attends where no layer has a tape: an LSTM's states, as in Merity et al. 2017.

    s^t = softmax over i <= t of q_t . h_i, q_t = tanh(W h_t + b). Slot i is h_i, the state after
    word i, and stands for that word as a tape's slot does; a step attends the word it has just read
    as well, where a tape (5) ends before it. Nothing of it comes back into the recurrence.

    Args:
        hidden_size: H.
        memory_span: how many of the latest slots a step attends, its own among them; 0 for all.
    """

    def __init__(self, hidden_size: int, memory_span: int = 0) -> None:
        super().__init__()
        self.memory_span = memory_span
        self.query = Linear(hidden_size, hidden_size)

    def forward(
        self, states: Tensor, tape: Tape | None = None, lengths: Tensor | None = None
    ) -> tuple[Attention, Tape]:
        """Attend from ``states`` (B, T, H), right-padded to ``lengths`` (B,), behind ``tape``.

        Returns the attention (B, T, P + T), float32 or above, zero at padded steps; and the tape
        that a next call goes on from, its memory empty.
        """
        slots = states if tape is None else torch.cat([tape.hidden.to(states), states], dim=1)
        scores = self.query(states).tanh() @ slots.transpose(1, 2)
        places = torch.arange(slots.size(1), device=slots.device)
        distance = places[-states.size(1) :].unsqueeze(1) - places  # (T, P + T), 0 is the own slot
        out_of_reach = (distance < 0) | (distance >= (self.memory_span or slots.size(1)))
        precision = torch.promote_types(scores.dtype, torch.float32)
        scores = scores.masked_fill(out_of_reach, -torch.inf)
        weights = scores.softmax(dim=2, dtype=precision)
        if lengths is not None:
            weights = zero_padding(weights, lengths.to(slots.device))
        tape = Tape(slots, slots[..., :0])
        return Attention(weights), tape.latest(self.memory_span) if self.memory_span else tape


class Pointer(nn.Module):
    """The mixture of Merity et al. 2017, with the attention of a tape, or of ``StateAttention``.

    p(w) = l_t softmax(scores_t)_w + (1 - l_t) sum of s_i^t over the slots i with the word w,
    l_t = sigmoid of a linear map of the features, or 1 where no slot is attended.

    Args:
        size: O.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(size, 1)
        nn.init.constant_(self.gate.bias, GATE_BIAS)

    def forward(self, scores: Tensor, features: Tensor, attention: Tensor, words: Tensor) -> Tensor:
        """Log-probabilities (B, T, V), float32 or above, whose exponentials sum to 1.

        Args:
            scores (B, T, V): of the output layer.
            features (B, T, O): what it read.
            attention (B, T, n): s of (5), or of ``StateAttention``.
            words (B, at least n), below V: the latest of them stand in the slots.
        """
        precision = torch.promote_types(scores.dtype, torch.float32)
        gate = self.gate(features).to(precision)
        attention = attention.to(precision)
        words = words[:, words.size(1) - attention.size(2) :]
        said = scores.log_softmax(dim=-1, dtype=precision)
        copied, is_chosen = by_word(attention, words, scores.size(2))
        # log l_t + said, and of words on the tape this more: each further (B, T, V) would cost as
        # much as the output layer's
        words = words.unsqueeze(1).expand_as(attention)
        more = -F.logsigmoid(gate + said.gather(2, words) - copied.log())
        is_empty = attention.sum(dim=2, keepdim=True) == 0
        share = F.logsigmoid(gate).masked_fill(is_empty, 0)
        return (said + share).scatter_add_(2, words, more.masked_fill(~is_chosen, 0))


def by_word(attention: Tensor, words: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """What all slots of a word have together (B, T, n), above 0, at the one chosen among them.

    Which those are, (B, 1, n), comes with it. ``attention`` (B, T, n), ``words`` (B, n) below V.
    """
    slots = torch.arange(words.size(1), device=words.device).expand_as(words)
    chosen = words.new_empty(words.size(0), vocabulary).scatter_(1, words, slots).gather(1, words)
    index = chosen.unsqueeze(1).expand_as(attention)
    together = torch.zeros_like(attention).scatter_add_(2, index, attention)
    # where nothing is copied the logarithm's derivative must be finite
    tiny = torch.finfo(attention.dtype).tiny
    return together.clamp(min=tiny), (chosen == slots).unsqueeze(1)
