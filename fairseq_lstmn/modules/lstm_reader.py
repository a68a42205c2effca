"""torch's fused LSTM as a reader of whole sentences.

B batch, T steps, D input width, H hidden width.
"""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fairseq_lstmn.modules.lstmn_layer import INIT_RANGE


class LSTMReader(nn.Module):
    """Stacked LSTM from left to right, initialised as fairseq's.

    Args:
        input_size: D.
        hidden_size: H, of every layer.
        layers: how many.
        dropout: between layers.
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
            outputs: Tensor = self.lstm(x)[0]
            return outputs
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed, _ = self.lstm(packed)
        return pad_packed_sequence(packed, batch_first=True, total_length=x.size(1))[0]
