"""One LSTMN layer as a module.

B batch, T steps, D input width, H hidden width, R distances.
"""

from typing import NoReturn, TypeAlias, TypedDict, TypeVar

import torch
from torch import Tensor, nn

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.modules.fusion import Fusion, SourceTape
from fairseq_lstmn.ops import Attention, GrowingTape, Tape, Weights, lstmn

INIT_RANGE = 0.1  # fairseq's LSTM draws all its weights and biases from uniform(-0.1, 0.1)

AnyTape = TypeVar("AnyTape", Tape, GrowingTape)
# outputs (B, T, H), the whole new tape and what was attended
LayerOutput: TypeAlias = tuple[Tensor, Tape | GrowingTape, Attention | None]


class LayerOptions(TypedDict, total=False):
    """What models hand through to every ``LSTMNLayer``."""

    memory_span: int
    distance_bias: int
    distance_bias_init: float
    forget_gate_bias: float | None
    backend: str
    fusion_gate_bias: float | None


def refuse_scripting(module: nn.Module) -> NoReturn:
    """As a module's ``__prepare_scriptable__``: ``torch.jit.script`` raises InputError."""
    raise InputError(
        f"torch.jit.script: {type(module).__name__} cannot be scripted, and torch gives scripting "
        "up; torch.export.export(model, (tokens,)) exports a language model, torch.compile(model) "
        "compiles all models"
    )


class LSTMNLayer(nn.Module):
    """Equations 4-9 of Cheng et al. 2016, with their weights.

    Args:
        input_size: D.
        hidden_size: H.
        memory_span: how many of the latest slots a step attends; 0 for all; with 1 the layer is
            an LSTM, and trains the parameters of one.
        distance_bias: R of the learned bias over distances; 0 for none.
        distance_bias_init: where the nearest slot's bias starts, the others start at 0.
        forget_gate_bias: where the forget gate's bias starts; drawn like all others by default.
        backend: the recurrence backend, see ``fairseq_lstmn.ops.backends``.
        fusion: for a layer that reads a source too.
        fusion_gate_bias: where the bias of deep fusion's gate starts; drawn by default.
    """

    __prepare_scriptable__ = refuse_scripting

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        memory_span: int = 0,
        distance_bias: int = 0,
        distance_bias_init: float = 0.0,
        forget_gate_bias: float | None = None,
        backend: str = "auto",
        fusion: Fusion | None = None,
        fusion_gate_bias: float | None = None,
    ) -> None:
        super().__init__()
        self.memory_span = memory_span
        self.backend = backend
        self.fusion = fusion
        self.input_query = nn.Linear(input_size, hidden_size, bias=False)  # W_x of (4)
        self.input_gates = nn.Linear(input_size, 4 * hidden_size)  # x's part of (7)
        self.key = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.summary_query = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.score = nn.Parameter(torch.empty(hidden_size))
        self.summary_gates = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -INIT_RANGE, INIT_RANGE)
        if forget_gate_bias is not None:
            nn.init.constant_(self.input_gates.bias.chunk(4)[1], forget_gate_bias)
        if fusion is not None and fusion_gate_bias is not None:
            fusion.init_gate_bias(fusion_gate_bias)
        self.distance_bias: nn.Parameter | None = None
        if distance_bias:
            self.distance_bias = nn.Parameter(torch.zeros(distance_bias + 1))
            nn.init.constant_(self.distance_bias[0], distance_bias_init)
        if self.is_lstm:
            self.freeze_attention()

    @property
    def is_lstm(self) -> bool:
        """Whether each step attends the one before it only."""
        return self.memory_span == 1

    def freeze_attention(self) -> None:
        """One slot has all the attention, whatever its score: nothing of it can be trained."""
        parts = self.input_query.weight, self.key, self.summary_query, self.score
        for part in (*parts, self.distance_bias):
            if part is not None:
                part.requires_grad_(False)

    def forward(
        self,
        x: Tensor,
        tape: Tape | GrowingTape | None = None,
        lengths: Tensor | None = None,
        source: SourceTape | None = None,
        return_attention: bool = False,
        whole_tape: bool = True,
    ) -> LayerOutput:
        """Read x (B, T, D), rows right-padded to ``lengths`` (B,) or None, behind ``tape``.

        ``source`` is the ``SourceTape`` that the layer's fusion prepared. Returns outputs
        (B, T, H), the new tape, which is the whole one or has at least what is ``needed``, and
        ``Attention`` or None; see ``ops.lstmn``.
        """
        all_of_it = source is not None or return_attention or whole_tape
        may_be_fused = self.is_lstm and self.backend == "auto" and not all_of_it
        if may_be_fused and not isinstance(tape, GrowingTape) and is_plain(x, tape, lengths):
            return *self.fused_lstm(x, tape), None
        weights = Weights(self.key, self.summary_query, self.score, self.summary_gates)
        fused = None
        if source is not None:
            assert self.fusion is not None  # which prepared the source
            weights = self.fusion.weights(weights)
            fused = self.fusion.source(x, source)
        steps_first = x.transpose(0, 1).contiguous()  # a step's rows side by side are faster
        return lstmn(
            self.input_query(steps_first).transpose(0, 1),
            self.input_gates(steps_first).transpose(0, 1),
            weights,
            tape=tape,
            source=fused,
            lengths=lengths,
            memory_span=self.memory_span,
            distance_bias=self.distance_bias,
            return_attention=return_attention,
            backend=self.backend,
        )

    def fused_lstm(self, x: Tensor, tape: Tape | None) -> tuple[Tensor, Tape]:
        """Outputs (B, T, H) and a tape of the last slot, by torch's own kernels for an LSTM."""
        start = x.new_zeros(2, 1, len(x), self.key.size(0))
        if tape is not None and tape.hidden.size(1):
            start = torch.stack([tape.hidden[:, -1], tape.memory[:, -1]]).unsqueeze(1)
        gates = self.input_gates
        bias = torch.zeros_like(gates.bias)  # torch's LSTM has two
        weights = [gates.weight, self.summary_gates, gates.bias, bias]
        options = True, 1, 0.0, self.training, False  # biases, layers, dropout, and one direction
        outputs, hidden, memory = torch.lstm(
            x.transpose(0, 1), tuple(start), weights, *options, batch_first=False
        )
        return outputs.transpose(0, 1), Tape(hidden[0].unsqueeze(1), memory[0].unsqueeze(1))

    def needed(self, tape: AnyTape) -> AnyTape:
        """What later steps need of ``tape``."""
        return tape.latest(self.memory_span) if self.memory_span else tape


def is_plain(x: Tensor, tape: Tape | None, lengths: Tensor | None) -> bool:
    """Whether torch's LSTM computes the same: on the CPU, in full precision, without padding.

    Compilers and functorch get the recurrence's own operators, whose rules are tested.
    """
    full_precision = x.dtype in (torch.float32, torch.float64)
    if x.device.type != "cpu" or not full_precision or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    padded = lengths is not None and bool((lengths != x.size(1)).any())
    return x.numel() > 0 and not padded and (tape is None or tape.lengths is None)
