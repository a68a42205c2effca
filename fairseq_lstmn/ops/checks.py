"""Whether the recurrence's arguments fit together: one line that names the one that does not."""

from fairseq_lstmn.errors import InputError

FUSION_WEIGHTS = ("source_query", "source_score", "source_gate")


def check(inputs, lengths):
    """Raise InputError for the first argument of ``lstmn``, as ``Inputs``, that does not fit."""
    query_inputs, gate_inputs, weights, tape, source, memory_span, distance_bias, _ = inputs
    if query_inputs.dim() != 3 or query_inputs.size(1) == 0:
        raise InputError(f"query_inputs is not (B, T > 0, H): {shape(query_inputs)}")
    batch, steps, width = query_inputs.shape
    expect("gate_inputs", gate_inputs, (batch, steps, 4 * width))
    expect("weights.key", weights.key, (width, width))
    expect("weights.summary_query", weights.summary_query, (width, width))
    expect("weights.score", weights.score, (width,))
    expect("weights.summary_gates", weights.summary_gates, (4 * width, width))
    if memory_span < 0:
        raise InputError(f"memory_span must be 0 (unbounded) or above, not {memory_span}")
    if distance_bias is not None and (distance_bias.dim() != 1 or len(distance_bias) == 0):
        raise InputError(f"distance_bias is not (R + 1,): {shape(distance_bias)}")
    check_lengths("lengths", lengths, batch, steps)
    if tape is not None:
        check_tape(tape, batch, width)
    if source is not None:
        check_source(source, weights, batch, steps, width)


def check_tape(tape, batch, width):
    if tape.hidden.dim() != 3:
        raise InputError(f"tape.hidden is not (B, P, H): {shape(tape.hidden)}")
    prefix = tape.hidden.size(1)
    for name in ("hidden", "memory", "keys"):
        expect(f"tape.{name}", getattr(tape, name), (batch, prefix, width))
    for name in ("summary", "source_summary"):
        expect(f"tape.{name}", getattr(tape, name), (batch, width))
    check_lengths("tape.lengths", tape.lengths, batch, prefix)


def check_source(source, weights, batch, steps, width):
    deep = source.gate_inputs is not None
    for name in FUSION_WEIGHTS if deep else FUSION_WEIGHTS[1:]:
        if getattr(weights, name) is None:
            raise InputError(f"a source is given, but weights.{name} is None")
    expect("weights.source_query", weights.source_query, (width, width))
    expect("weights.source_score", weights.source_score, (width,))
    expect("weights.source_gate", weights.source_gate, (width if deep else 4 * width, width))
    if source.keys.dim() != 3:
        raise InputError(f"source.keys is not (G, S, H): {shape(source.keys)}")
    sentences, length, _ = source.keys.shape
    if sentences != batch and (sentences == 0 or batch % sentences):
        raise InputError(f"source.keys is {shape(source.keys)}: {batch} rows cannot share them")
    expect("source.keys", source.keys, (sentences, length, width))
    expect("source.slots", source.slots, (sentences, length, 2 * width if deep else width))
    for name in ("query_inputs", "gate_inputs"):
        expect(f"source.{name}", getattr(source, name), (batch, steps, width))
    expect("source.mask", source.mask, (sentences, length))


def check_lengths(name, lengths, batch, most):
    expect(name, lengths, (batch,))
    if lengths is None or batch == 0:
        return
    low, high = int(lengths.min()), int(lengths.max())
    if low < 0 or high > most:
        raise InputError(f"{name} must lie in 0..{most}, but reach from {low} to {high}")


def expect(name, tensor, wanted):
    """Raise unless ``tensor`` is None or of the shape ``wanted``."""
    if tensor is not None and tuple(tensor.shape) != wanted:
        raise InputError(f"{name} is {shape(tensor)}, but {wanted} is needed")


def shape(tensor):
    return tuple(tensor.shape)
