"""torch's fused LSTM as a reader of whole sentences.

B batch, T steps, D input width, H hidden width.
"""

from torch import nn
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

    def __init__(self, input_size, hidden_size, layers=1, dropout=0.0):
        super().__init__()
        self.output_size = hidden_size
        between = dropout if layers > 1 else 0.0  # torch warns of dropout with nothing between
        self.lstm = nn.LSTM(input_size, hidden_size, layers, dropout=between, batch_first=True)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INIT_RANGE, INIT_RANGE)

    def forward(self, x, lengths=None):
        """Outputs (B, T, H) of x (B, T, D), right-padded to ``lengths`` (B,), 1 at least, or None.

        The rows may stand in any order of length; outputs are zero at padded steps.
        """
        if lengths is None:
            return self.lstm(x)[0]
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        outputs, _ = self.lstm(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=x.size(1))
        return outputs
