"""From hidden states to words: fairseq's projection, shared embedding or adaptive softmax."""

from collections.abc import Sequence

from fairseq.models.lstm import Linear
from fairseq.modules import AdaptiveSoftmax, FairseqDropout
from torch import Tensor, nn
from torch.nn import functional as F

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.attentional_output import AttentionalOutput


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
            scores: Tensor = self.to_scores(x)
            return scores
        return F.linear(x, shared_weight[: self.vocabulary])


def check_cutoff(cutoff: Sequence[int], vocabulary: int) -> None:
    if not cutoff or list(cutoff) != sorted(set(cutoff)) or not 0 < cutoff[-1] <= vocabulary:
        raise InputError(
            f"--adaptive-softmax-cutoff {','.join(map(str, cutoff))}: must rise and stay within "
            f"the vocabulary's {vocabulary} types"
        )
