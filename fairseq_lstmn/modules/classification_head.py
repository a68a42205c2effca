"""What turns a reader's features into scores of classes.

B batch, F features, H hidden width, C classes.
"""

from fairseq.modules import FairseqDropout
from torch import Tensor, nn


class ClassificationHead(nn.Module):
    """Two ReLU layers, dropout and a linear map: Linear H, ReLU, Linear H, ReLU, Linear C.

    The head of Cheng et al. 2016, sections 5.2 and 5.3; the softmax is the criterion's.

    Args:
        input_size: F.
        hidden_size: H.
        num_classes: C.
        dropout: before the last map.
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
        scores: Tensor = self.layers(features)
        return scores
