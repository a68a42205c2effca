"""A neural cache: words of the latest past, said again where the state is alike.

Nothing of it is trained (Grave, Joulin & Usunier 2017). N slots, M words, O features, P words so
far, K values of theta.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

AT_A_TIME = 256  # words whose similarities to the slots are in memory together


class NeuralCache:
    """The latest N features h_i that an output layer read, each with the word x_{i+1} behind it.

    p_cache(w) = sum over the slots with the word w of exp(theta h_t . h_i), divided by the sum over
    all slots; before there are any, the model's own probability.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.clear()

    def clear(self) -> None:
        """Begin another text."""
        self.latest: tuple[Tensor, Tensor] | None = None  # (P, O) and (P,), P up to N

    def log_probabilities(
        self, features: Tensor, words: Tensor, plain: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """log p_cache (K, M), float32 or above, of the next M words of the text, which it stores.

        Args:
            features (M, O): h_t, from which each word is predicted.
            words (M,): in the order of the text.
            plain (M,): their logarithms by the model.
            thetas (K): 0 or above; with 0 words are as likely as they are frequent in the cache.
        """
        features = features.to(torch.promote_types(features.dtype, torch.float32))
        parts = [part.split(AT_A_TIME) for part in (features, words, plain)]
        return torch.cat([self._step(f, w, p, thetas) for f, w, p in zip(*parts)], dim=1)

    def _step(
        self, features: Tensor, words: Tensor, plain: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        past = self.latest or (features[:0], words[:0])
        features_by_slot = torch.cat([past[0], features])  # (P + M, O)
        words_by_slot = torch.cat([past[1], words])
        places = torch.arange(len(words_by_slot), device=words.device)
        ago = places[-len(words) :].unsqueeze(1) - places  # (M, P + M)
        is_slot = (ago > 0) & (ago <= self.slots)
        is_word = is_slot & (words.unsqueeze(1) == words_by_slot)
        similar = features @ features_by_slot.T
        each = []
        for theta in thetas:
            scores = (theta * similar).masked_fill(~is_slot, -math.inf)
            of_word = scores.masked_fill(~is_word, -math.inf).logsumexp(dim=1)
            each.append(of_word - scores.logsumexp(dim=1))
        self.latest = features_by_slot[-self.slots :], words_by_slot[-self.slots :]
        return torch.where(is_slot.any(dim=1), torch.stack(each), plain.to(features.dtype))


def mixed(plain: Tensor, cached: Tensor, share: float) -> Tensor:
    """log((1 - lambda) p_vocab + lambda p_cache); ``plain`` itself for lambda 0.

    Args:
        plain (M,), cached (..., M): the logarithms of both.
        share: lambda, 0 or above and below 1.
    """
    cached = cached + (math.log(share) if share else -math.inf)
    return torch.logaddexp(plain.to(cached.dtype) + math.log1p(-share), cached)
