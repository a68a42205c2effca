"""With a memory span of 1 the layer is torch's LSTM: its first state is the one slot's."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fairseq_lstmn.ops import Tape, Weights, lstmn

from .cases import assert_close, gradients

BATCH, STEPS, INPUTS, WIDTH = 3, 40, 7, 20
LENGTHS = torch.tensor([40, 1, 23])
LIMIT = 1e-5  # float32; measured at most 4e-7


def layer():
    """The weights and inputs of a layer, every one to be differentiated by."""
    torch.manual_seed(0)
    weights = dict(torch.nn.LSTM(INPUTS, WIDTH).named_parameters())
    return {
        "weights": weights,
        "inputs": torch.randn(BATCH, STEPS, INPUTS),
        "hidden": torch.randn(BATCH, WIDTH),
        "memory": torch.randn(BATCH, WIDTH),
    }


def by_torch(layer, lengths):
    lstm = torch.nn.LSTM(INPUTS, WIDTH, batch_first=True)
    packed = pack_padded_sequence(layer["inputs"], lengths, True, enforce_sorted=False)
    first = (layer["hidden"].unsqueeze(0), layer["memory"].unsqueeze(0))
    outputs, last = torch.func.functional_call(lstm, layer["weights"], (packed, first))
    outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=STEPS)
    return {"outputs": outputs, "hidden": last[0][0], "memory": last[1][0]}


def by_lstmn(layer, lengths, backend):
    on_inputs, on_state, *biases = layer["weights"].values()
    outputs, tape, _ = lstmn(
        torch.randn(BATCH, STEPS, WIDTH),
        layer["inputs"] @ on_inputs.T + sum(biases),
        Weights(
            key=torch.randn(WIDTH, WIDTH),
            summary_query=torch.randn(WIDTH, WIDTH),
            score=torch.randn(WIDTH),
            summary_gates=on_state,
        ),
        tape=Tape(layer["hidden"].unsqueeze(1), layer["memory"].unsqueeze(1)),
        lengths=lengths,
        memory_span=1,
        backend=backend,
    )
    return {"outputs": outputs, "hidden": tape.hidden[:, -1], "memory": tape.memory[:, -1]}


def test_span_1_is_an_lstm(backend):
    full = torch.full((BATCH,), STEPS)
    actual = gradients(lambda parts: by_lstmn(parts, None, backend), layer())
    expected = gradients(lambda parts: by_torch(parts, full), layer())
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


def test_span_1_is_an_lstm_on_ragged_rows(backend):
    actual = gradients(lambda parts: by_lstmn(parts, LENGTHS, backend), layer())
    expected = gradients(lambda parts: by_torch(parts, LENGTHS), layer())
    assert_close(actual[0], expected[0], LIMIT)
    assert_close(actual[1], expected[1], LIMIT)


def test_an_empty_tape_is_a_first_state_of_zero(backend):
    parts = dict(layer(), hidden=torch.zeros(BATCH, WIDTH), memory=torch.zeros(BATCH, WIDTH))
    on_inputs, on_state, *biases = parts["weights"].values()
    gate_inputs = parts["inputs"] @ on_inputs.T + sum(biases)
    weights = Weights(*(torch.randn(WIDTH, WIDTH) for _ in range(2)), torch.randn(WIDTH), on_state)
    queries = torch.randn(BATCH, STEPS, WIDTH)
    outputs, _, _ = lstmn(queries, gate_inputs, weights, memory_span=1, backend=backend)
    expected = by_torch(parts, torch.full((BATCH,), STEPS))["outputs"]
    assert_close({"outputs": outputs}, {"outputs": expected}, LIMIT)
