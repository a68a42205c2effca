"""How a decoder layer reads an encoder layer: shallow and deep attention fusion.

A line in ``FUSIONS`` makes a class a choice of ``--attention-fusion``.

B batch, T steps, S source length, D width of the decoder layer's input, G of the encoder
layer, H of the decoder layer.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from fairseq_lstmn.ops import Source, Weights


class SourceTape(NamedTuple):
    """An encoder layer's tapes as a decoder layer reads them; the same at every step.

    G sentences, each read by B / G successive rows of the batch: a beam does not copy them.
    """

    keys: Tensor  # (G, S, H)
    slots: Tensor  # (G, S, 2H), [hidden; memory]; shallow fusion: (G, S, H), hidden
    mask: Tensor  # (G, S) bool, True at real tokens
    sentences: Tensor  # (B,), which sentence each row reads

    @staticmethod
    def start(keys: Tensor, slots: Tensor, mask: Tensor) -> "SourceTape":
        """The tape of a batch in which every row reads a sentence of its own."""
        return SourceTape(keys, slots, mask, torch.arange(len(keys), device=keys.device))

    def reorder(self, rows: Tensor) -> "SourceTape":
        """The tape with ``rows`` (B',) for its rows."""
        sentences = self.sentences.index_select(0, rows)
        if torch.equal(sentences, self.sentences):
            return self
        groups, sizes = sentences.unique_consecutive(return_counts=True)
        if len(groups) == 0 or bool((sizes != sizes[0]).any()):
            groups, sizes = sentences, torch.ones_like(sentences)
        keys, slots, mask = (part.index_select(0, groups) for part in self[:3])
        numbers = torch.arange(len(groups), device=rows.device)
        return SourceTape(keys, slots, mask, numbers.repeat_interleave(sizes))


class Fusion(nn.Module):
    """How a layer reads a source.

    Args:
        input_size: D.
        source_size: G.
        hidden_size: H.
        choices: ``query`` and ``context``, see ``ShallowFusion``.
    """

    # whether every layer has one, that reads the encoder's layer of the same number; else only the
    # layer that reads tokens, the encoder's last one
    in_every_layer: ClassVar[bool]

    def prepare(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> SourceTape:
        """The ``SourceTape`` of an encoder layer's tapes (B, S, G); mask is True at real tokens."""
        raise NotImplementedError

    def source(self, x: Tensor, tape: SourceTape) -> Source:
        """What ``ops.lstmn`` reads while it reads x (B, T, D)."""
        raise NotImplementedError

    def weights(self, of_layer: Weights) -> Weights:
        """The layer's own with those of the fusion."""
        raise NotImplementedError

    def init_gate_bias(self, value: float) -> None:
        """Start the bias of the gate on the source's memory at ``value``, where there is one."""


class ShallowFusion(Fusion):
    """Inter-attention in the manner of Bahdanau et al. 2014; the memory tape is not used.

    ``query`` is "summary", u . tanh(W_g g_j + W_x' x_t + W_q h~_t), or "token", without h~_t.
    ``context`` is "concat", g~_t joins [h~_t; x_t] with gate weights of its own, or "add", g~_t
    is added to h~_t in (7) and needs none.
    """

    in_every_layer = False

    def __init__(
        self,
        input_size: int,
        source_size: int,
        hidden_size: int,
        query: str = "summary",
        context: str = "concat",
    ) -> None:
        super().__init__()
        self.key = nn.Linear(source_size, hidden_size, bias=False)  # W_g
        self.token_query = nn.Linear(input_size, hidden_size, bias=False)  # W_x'
        self.to_hidden = to_width(source_size, hidden_size)
        self.score = nn.Parameter(torch.empty(hidden_size))  # u
        self.query: nn.Parameter | None = None
        self.gate: nn.Parameter | None = None
        if query == "summary":
            self.query = nn.Parameter(torch.empty(hidden_size, hidden_size))  # W_q
        if context == "concat":
            self.gate = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))

    def prepare(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> SourceTape:
        return SourceTape.start(self.key(hidden), self.to_hidden(hidden), mask)

    def source(self, x: Tensor, tape: SourceTape) -> Source:
        return Source(tape.keys, tape.slots, self.token_query(x), None, tape.mask)

    def weights(self, of_layer: Weights) -> Weights:
        gate = of_layer.summary_gates if self.gate is None else self.gate
        return of_layer._replace(source_query=self.query, source_score=self.score, source_gate=gate)


class DeepFusion(Fusion):
    """Equations 12-16 of Cheng et al. 2016: the source's memory flows into the cell."""

    in_every_layer = True

    def __init__(self, input_size: int, source_size: int, hidden_size: int, **choices: str) -> None:
        super().__init__()
        self.key = nn.Linear(source_size, hidden_size, bias=False)  # W_g of (12)
        self.token_query = nn.Linear(input_size, hidden_size, bias=False)  # W_x' of (12)
        self.token_gate = nn.Linear(input_size, hidden_size)  # W_r's part on x_t in (14)
        self.to_hidden = to_width(source_size, hidden_size)
        self.to_memory = to_width(source_size, hidden_size)
        self.score = nn.Parameter(torch.empty(hidden_size))  # u of (12)
        self.query = nn.Parameter(torch.empty(hidden_size, hidden_size))  # W_g~ of (12)
        self.gate = nn.Parameter(torch.empty(hidden_size, hidden_size))  # W_r's part on g~_t

    def prepare(self, hidden: Tensor, memory: Tensor, mask: Tensor) -> SourceTape:
        slots = torch.cat([self.to_hidden(hidden), self.to_memory(memory)], dim=2)
        return SourceTape.start(self.key(hidden), slots, mask)

    def source(self, x: Tensor, tape: SourceTape) -> Source:
        return Source(tape.keys, tape.slots, self.token_query(x), self.token_gate(x), tape.mask)

    def weights(self, of_layer: Weights) -> Weights:
        return of_layer._replace(
            source_query=self.query, source_score=self.score, source_gate=self.gate
        )

    def init_gate_bias(self, value: float) -> None:
        nn.init.constant_(self.token_gate.bias, value)


FUSIONS: dict[str, type[Fusion]] = {"shallow": ShallowFusion, "deep": DeepFusion}


def build_fusion(
    k: int,
    input_size: int,
    source_size: int,
    hidden_size: int,
    fusion: str,
    query: str,
    context: str,
) -> Fusion | None:
    """The fusion of that name for layer k, None where that layer has none, or for "none"."""
    kind = FUSIONS.get(fusion)
    if kind is None or (k > 0 and not kind.in_every_layer):
        return None
    return kind(input_size, source_size, hidden_size, query=query, context=context)


def to_width(source_size: int, hidden_size: int) -> nn.Module:
    """What brings an encoder layer's vectors to the decoder's width."""
    if source_size == hidden_size:
        return nn.Identity()
    return nn.Linear(source_size, hidden_size)
