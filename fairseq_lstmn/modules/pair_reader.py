"""A premise and a hypothesis, each read on tapes of its own.

B batch, S premise length, T hypothesis length, D input width, H hidden width.
"""

from torch import Tensor, nn

from fairseq_lstmn.modules.lstmn_stack import LSTMNStack
from fairseq_lstmn.ops import Tape
from fairseq_lstmn.ops.padding import empty_slots


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

    def forward(
        self,
        premise: Tensor,
        premise_lengths: Tensor,
        hypothesis: Tensor,
        hypothesis_lengths: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Outputs (B, S, H) and (B, T, H) of right-padded (B, S, D) and (B, T, D)."""
        reader = self.premise or self.hypothesis
        tapes: list[Tape]
        read, tapes, _ = reader(premise, lengths=premise_lengths)
        # slots of a tape stand at its end; attention does not mind where
        real = ~empty_slots(premise_lengths, premise.size(1))
        sources = self.hypothesis.sources(
            [tape.hidden for tape in tapes], [tape.memory for tape in tapes], real
        )
        return read, self.hypothesis(hypothesis, lengths=hypothesis_lengths, sources=sources)[0]
