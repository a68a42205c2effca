"""Additive attention over slots, one step at a time: what `recompute` reads both tapes with.

B batch, T steps, G sentences, n slots, H hidden width. A slot is [hidden; memory], V = 2H wide,
or hidden alone, V = H. A read sums slots, sum_i s_i [h_i; c_i] with
s = softmax_i(v . tanh(k_i + q_t)): equations (4)-(6) and (12)-(13). Each sentence is read by
B / G successive rows, by one where gradients are wanted. The (B, n, H) tanh is made in blocks
that fit a core's cache and never kept.
"""

import math
from copy import copy

import torch

BLOCK = 2**18  # elements: 1 MiB in float32, at home in a core's L2 cache

OF_ROWS = (
    *("keys", "slots", "queries", "attention", "blocked"),
    *("d_sums", "d_keys", "d_queries", "d_score"),
)


class Reader:
    """Reads of steps 0..T-1 over slots that may still grow while steps go on.

    ``keys`` (G, n, H), ``slots`` (G, n, V), ``queries`` (B, T, H), ``attention`` (B, T, n),
    where reads write their weights; ``score`` (H,). ``bias`` (n,) is added to the scores, last
    entry to the newest slot; ``blocked`` (B, n) is True at slots that may not be read.
    """

    def __init__(self, keys, slots, queries, attention, score, bias=None, blocked=None):
        self.keys, self.slots, self.queries = keys, slots, queries
        self.attention, self.score = attention, score
        self.bias, self.blocked = bias, blocked
        sentences = len(keys)
        self.sentences = sentences, len(queries) // max(1, sentences)  # (G, B / G)
        self.everything = slice(0, keys.size(1))

    def first(self, rows):
        """The reader of the first ``rows`` rows, one a sentence, in the same memory."""
        fewer = copy(self)
        for name in OF_ROWS:
            part = getattr(self, name, None)
            setattr(fewer, name, part if part is None else part[:rows])
        fewer.sentences = rows, 1
        return fewer

    def read(self, t, seen, sums):
        """Write the sums of step t over the slots in the slice ``seen`` to ``sums`` (B, V)."""
        keys, slots = self.keys[:, seen], self.slots[:, seen]
        scores = self._scores(keys, self.queries[:, t])
        if self.bias is not None:
            scores += self.bias[len(self.bias) - scores.size(1) :]
        if self.blocked is None:
            weights = scores.softmax(dim=1)
        else:
            blocked = self.blocked[:, seen]
            scores.masked_fill_(blocked, torch.finfo(scores.dtype).min)
            weights = scores.softmax(dim=1).masked_fill_(blocked, 0)
        self.attention[:, t, seen] = weights
        sums.copy_(torch.bmm(weights.unflatten(0, self.sentences), slots).flatten(0, 1))

    def _scores(self, keys, query):
        queries = query.unflatten(0, self.sentences)
        scores = query.new_empty(*queries.shape[:2], keys.size(1))
        for block, tanh in self._tanh(keys, queries):
            torch.matmul(tanh, self.score, out=scores[block])
        return scores.flatten(0, 1)

    def _tanh(self, keys, queries):
        """Blocks of G with their tanh(key_i + query) (g, B / G, n, H), which live until the next.

        ``queries`` (G, B / G, H).
        """
        sentences, readers, width = queries.shape
        shape = readers, keys.size(1), width
        rows = max(1, sentences)
        if keys.device.type == "cpu":
            rows = BLOCK * torch.get_num_threads() // max(1, math.prod(shape))
            rows = max(1, min(sentences, rows))
        buffer = keys.new_empty(rows, *shape)
        for first in range(0, sentences, rows):
            block = slice(first, first + rows)
            tanh = buffer[: min(rows, sentences - first)]
            torch.add(keys[block].unsqueeze(1), queries[block].unsqueeze(2), out=tanh)
            yield block, tanh.tanh_()

    def start_backward(self, d_sums):
        """Room for gradients; those of keys and queries lack the factor v until the end.

        ``d_sums`` (B, T, V) is the gradient of the sums, written before a step is taken back; at
        padded steps, which read nothing, any finite number.
        """
        batch, _, width = self.queries.shape
        self.d_sums = d_sums
        self.d_keys = torch.zeros_like(self.keys)
        self.d_queries = torch.zeros_like(self.queries)
        self.d_score = self.queries.new_zeros(batch, 1, width)
        self.d_bias = None if self.bias is None else torch.zeros_like(self.bias)

    def read_backward(self, t, seen, d_attention):
        """Take ``read`` back, given ``d_sums[:, t]`` and the gradient of the weights or None.

        The gradients of the slots wait until ``d_slots`` sums them over steps.
        """
        weights = self.attention[:, t, seen]
        d_weights = torch.bmm(self.slots[:, seen], self.d_sums[:, t].unsqueeze(2)).squeeze(2)
        if d_attention is not None:
            d_weights += d_attention[:, t, seen]
        d_scores = weights * (d_weights - (weights * d_weights).sum(dim=1, keepdim=True))
        if self.bias is not None:
            self.d_bias[len(self.bias) - d_scores.size(1) :] += d_scores.sum(dim=0)
        one = d_scores.new_ones(())
        for rows, tanh in self._tanh(self.keys[:, seen], self.queries[:, t].unsqueeze(1)):
            tanh = tanh.squeeze(1)
            across = d_scores[rows].unsqueeze(1)
            self.d_score[rows] += torch.bmm(across, tanh)
            slope = torch.addcmul(one, tanh, tanh, value=-1, out=tanh)
            self.d_queries[rows, t] = torch.bmm(across, slope).squeeze(1)
            self.d_keys[rows, seen].addcmul_(slope, d_scores[rows].unsqueeze(2))
        self.d_queries[:, t] *= self.score

    def d_slots(self, slots, readers):
        """The gradient (B, n', V) that the steps ``readers`` send to the ``slots``, both slices."""
        weights = self.attention[:, readers, slots].transpose(1, 2).contiguous()
        return torch.bmm(weights, self.d_sums[:, readers])
