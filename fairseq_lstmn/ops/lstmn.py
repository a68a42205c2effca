"""One LSTMN layer over a whole sequence: the one operation that everything stands on.

B batch, T steps, P prefix slots, S source length, H hidden width, R distances.
"""

import torch
from torch import Tensor

from fairseq_lstmn.ops import backends
from fairseq_lstmn.ops.growing import GrowingTape
from fairseq_lstmn.ops.passes.inputs import Inputs
from fairseq_lstmn.ops.prepare import cast, checked, fill_in, precision
from fairseq_lstmn.ops.types import Attention, Source, Tape, Weights


def lstmn(
    query_inputs: Tensor,
    gate_inputs: Tensor,
    weights: Weights,
    tape: Tape | GrowingTape | None = None,
    source: Source | None = None,
    lengths: Tensor | None = None,
    memory_span: int = 0,
    distance_bias: Tensor | None = None,
    return_attention: bool = False,
    backend: str = "auto",
) -> tuple[Tensor, Tape | GrowingTape, Attention | None]:
    """Run a layer, equations 4-9 (with a ``source`` also 12-16), and hand its tape on.

    Args:
        query_inputs (B, T, H): W_x x_t of (4).
        gate_inputs (B, T, 4H): the part of (7) on x_t with its biases, in torch's gate
            order: input, forget, candidate, output.
        weights (Weights): what multiplies the recurrence's own vectors.
        tape (Tape): slots that stand there before the first step; none by default. A
            ``GrowingTape`` grows in place, for going on step by step.
        source (Source): an encoder layer's tapes, for deep or shallow fusion.
        lengths (B,): steps of each row of a right-padded batch, integers; all T by default. Those
            on a device are waited for; whoever has them on the CPU may leave them there.
        memory_span: how many of the latest slots a step attends; 0 for all.
        distance_bias (R + 1,): added to a_i^t for distances t - i = 1..R and for all farther.
        return_attention: whether to return the weights of (5) and (13), and g~_t.
        backend: one of ``backends.NAMES``; a named one runs or raises.

    Returns:
        outputs (B, T, H), h_t, zero at padded steps; the ``Tape`` after the last valid step of
        each row, of which later steps need the ``latest(memory_span)`` slots; ``Attention`` or
        None. Feeding a sequence in pieces, the tape handed on, equals feeding it whole.

    A ``Tape`` is left as it was, and the new one shares no memory with it: that copies the
    P slots in every call, which a ``GrowingTape`` spares whoever goes on token by token.
    float16 and bfloat16 inputs are computed in float32 and come back in their own type, to which
    all other arguments are cast.

    Raises:
        InputError: arguments that do not fit together, a backend that cannot run, or rows whose
            attention, kept where it is returned or differentiated, is beyond memory.
    """
    inputs = Inputs(
        *(query_inputs, gate_inputs, weights),
        tape,  # type: ignore[arg-type]  # which is filled in below
        *(source, memory_span, distance_bias),
        discard_attention=not return_attention,
    )
    chosen = backends.BACKENDS[backends.choose(backend, query_inputs.device)]
    with torch.autocast(query_inputs.device.type, enabled=False):
        if isinstance(tape, GrowingTape):
            outputs, attention = tape.grow(inputs, lengths, chosen.layer, chosen.reads_authors)
        else:
            inputs, batch = checked(inputs, lengths)
            outputs, tape, attention = batch.run(
                chosen.layer, fill_in(cast(inputs, precision(inputs)))
            )
            tape = cast(tape, query_inputs.dtype)
    return cast(outputs, query_inputs.dtype), tape, cast(attention, query_inputs.dtype)
