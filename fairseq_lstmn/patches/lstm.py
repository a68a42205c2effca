"""fairseq's ``lstm``.

B batch, S source length, H width of the encoder.
"""

from collections.abc import Callable

import torch
from fairseq.models.lstm import LSTMEncoder
from torch import Tensor

from fairseq_lstmn.patches.registry import patch

Encoded = tuple[Tensor, Tensor, Tensor, Tensor]


@patch(LSTMEncoder, "forward")
def encode_in_order(
    forward: Callable[..., Encoded],
    encoder: LSTMEncoder,
    src_tokens: Tensor,
    *args: object,
    **kwargs: object,
) -> Encoded:
    """The encoder's ``forward``, with outputs that stand where ``src_tokens`` (B, S) do.

    The outputs (S, B, H) and their mask (S, B) are right-padded, whatever the tokens are. The
    order matters to attention, which no ``lstm`` returns in training.
    """
    encoded = forward(encoder, src_tokens, *args, **kwargs)
    left_padded = src_tokens[:, 0].eq(encoder.padding_idx).any()
    if encoder.training or not left_padded:
        return encoded
    outputs, hidden, cells, mask = encoded
    steps = torch.arange(len(mask), device=mask.device).unsqueeze(1)
    place = (steps - mask.sum(0)) % len(mask)  # (S, B)
    outputs = outputs.gather(0, place.unsqueeze(2).expand_as(outputs))
    return outputs, hidden, cells, mask.gather(0, place)
