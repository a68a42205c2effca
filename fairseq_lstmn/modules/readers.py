"""What classifiers read and answer with, beside a stack: an LSTM, a reader of pairs, a head.

B batch, S premise length, T steps or hypothesis length, D input width, H hidden width, F features,
C classes.
"""

from fairseq.modules import FairseqDropout
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fairseq_lstmn.modules.lstmn_layer import INIT_RANGE
from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from fairseq_lstmn.modules.padding import steps_of
from fairseq_lstmn.ops import Tape

Pair = tuple[Tensor, Tensor]  # of a premise and of its hypothesis


class LSTMReader(nn.Module):
    """torch's fused LSTM, stacked, from left to right, initialised as fairseq's.

    Dropout is between layers.
    """

    def __init__(
        self, input_size: int, hidden_size: int, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.output_size = hidden_size
        between = dropout if layers > 1 else 0.0  # torch warns of dropout with nothing between
        self.lstm = nn.LSTM(input_size, hidden_size, layers, dropout=between, batch_first=True)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INIT_RANGE, INIT_RANGE)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs (B, T, H) of x (B, T, D), right-padded to ``lengths`` (B,), 1 at least, or None.

        The rows may stand in any order of length; outputs are zero at padded steps.
        """
        if lengths is None:
            return self.lstm(x)[0]
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed, _ = self.lstm(packed)
        return pad_packed_sequence(packed, batch_first=True, total_length=x.size(1))[0]


class PairReader(nn.Module):
    """Reads the premise, then the hypothesis, whose layers with a fusion read the premise too.

    Unlike a decoder, the hypothesis starts on an empty tape: a start from the premise's last
    states costs accuracy (examples/nli).

    Args:
        hypothesis: ``LSTMNStack``; its fusions, if any, read the premise.
        premise: ``LSTMNStack`` of the same size; None reads the premise with ``hypothesis`` too,
            whose fusions then rest.
    """

    def __init__(self, hypothesis: LSTMNStack, premise: LSTMNStack | None = None) -> None:
        super().__init__()
        self.hypothesis, self.premise = hypothesis, premise

    def forward(self, x: Pair, lengths: Pair) -> Pair:
        """Outputs (B, S, H) and (B, T, H) of right-padded (B, S, D) and (B, T, D)."""
        premise, hypothesis = x
        premise_lengths, hypothesis_lengths = lengths
        reader = self.premise or self.hypothesis
        tapes: list[Tape]
        states, tapes, _ = reader(premise, lengths=premise_lengths)
        # slots of a tape stand at its end; attention does not mind where
        is_token = steps_of(premise) >= premise.size(1) - premise_lengths.unsqueeze(1)
        sources = self.hypothesis.sources(
            [tape.hidden for tape in tapes], [tape.memory for tape in tapes], is_token
        )
        return states, self.hypothesis(hypothesis, lengths=hypothesis_lengths, sources=sources)[0]


class ClassificationHead(nn.Module):
    """Two ReLU layers, dropout and a linear map: Linear H, ReLU, Linear H, ReLU, Linear C.

    The head of Cheng et al. 2016, sections 5.2 and 5.3; the softmax is the criterion's.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_size, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
            FairseqDropout(dropout, module_name=self.__class__.__name__),
            nn.Linear(hidden_size, num_classes),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) to scores (B, C)."""
        return self.layers(features)
