"""What readers make of lines: the weights that the recurrence gives, in the order of the text."""

import json

import numpy as np
import pytest
import torch

from fairseq_lstmn import ops
from fairseq_lstmn.attend.page import as_bytes
from fairseq_lstmn.attend.readers import reader, readings
from fairseq_lstmn.attend.reading import ACROSS, BACKWARD
from fairseq_lstmn.attend.record import Record
from fairseq_lstmn.errors import InputError
from tests.attend.readings import write
from tests.attend.small_models import CASES, lines, trained

all_cases = pytest.mark.parametrize("case", CASES)


def read(case, texts=None, model=None, **options):
    return list(readings(reader(model or trained(case)), texts or lines(case), **options))


def written(folder, answers):
    """The lines of attention.json."""
    write(Record(folder, {"model": "small"}), answers)
    return json.loads((folder / "attention.json").read_text(encoding="utf-8"))["lines"]


def pairs_of_maps(readings, others):
    return (maps for pair in zip(readings, others) for maps in zip(*(r.maps for r in pair)))


def same_weights(readings, others):
    for ours, theirs in pairs_of_maps(readings, others):
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-6)


@all_cases
def test_rows_sum_to_one(case, tmp_path):
    for line in written(tmp_path, read(case)):
        for attention in line["maps"]:
            queries, keys = line["texts"][attention["asks"]], line["texts"][attention["reads"]]
            lengths = {
                "forward": range(len(queries)),
                "backward": range(len(queries) - 1, -1, -1),
                "across": [len(keys)] * len(queries),
            }[attention["direction"]]
            assert [len(row) for row in attention["rows"]] == list(lengths)
            sums = [sum(row) for row in attention["rows"] if row]
            assert sums == pytest.approx([1] * len(sums), abs=1e-6)


def test_regression_is_answered_with_its_number(tmp_path):
    model = trained("classifier")
    probabilities = [reading.probabilities for reading in read("classifier", model=model)]
    model.task.cfg.regression_target = True
    answers = read("classifier", model=model)
    for line, reading, shares in zip(written(tmp_path, answers), answers, probabilities):
        assert set(shares) == {"bad", "good", "so-so"} and sum(shares.values()) == pytest.approx(1)
        assert line["values"] == reading.values and "probabilities" not in line
        assert list(reading.values) == ["value", "value2", "value3"]
        softmax = torch.tensor(list(reading.values.values())).softmax(dim=0)
        assert softmax.tolist() == pytest.approx(list(shares.values()), abs=1e-6)


@all_cases
def test_a_line_among_others_is_the_line_alone(case):
    together = read(case)
    for line, reading in zip(lines(case), together):
        [alone] = read(case, [line])
        assert (alone.texts, alone.unknown) == (reading.texts, reading.unknown)
        assert [attention[:5] for attention in alone.maps] == [
            attention[:5] for attention in reading.maps
        ]
        same_weights([alone], [reading])
        assert alone.probabilities == pytest.approx(reading.probabilities, abs=1e-6)
        for name, bits in alone.surprisals.items():
            assert bits == pytest.approx(reading.surprisals[name], abs=1e-4)


def test_weights_are_those_of_the_recurrence(tmp_path):
    model = trained("lm")
    decoder, dictionary = model.model.decoder, model.task.target_dictionary
    layer = decoder.stack.layers[0]
    weights = ops.Weights(layer.key, layer.summary_query, layer.score, layer.summary_gates)
    for line, line_read in zip(lines("lm"), written(tmp_path, read("lm", model=model))):
        tokens = [dictionary.eos(), *map(dictionary.index, line.decode().split())]
        x = decoder.embed_tokens(torch.tensor([tokens]))
        _, _, attention = ops.lstmn(
            layer.input_query(x), layer.input_gates(x), weights, return_attention=True
        )
        for t, row in enumerate(line_read["maps"][0]["rows"]):
            np.testing.assert_allclose(row, attention.tape[0, t, :t].tolist(), atol=1e-6)


def test_backward_attention_stands_in_the_order_of_the_text():
    model = trained("translation, deep")
    dictionary, encoder = model.task.source_dictionary, model.model.encoder
    reading = read("translation, deep", [b"w1 w2 w3\tw1"], model)[0]
    attention = next(attention for attention in reading.maps if attention.direction == BACKWARD)
    words = [dictionary.index(word) for word in reading.texts["source"]]
    x = encoder.embed_tokens(torch.tensor([words[::-1]]))
    expected = encoder.backwards[0](x, return_attention=True)[2].tape[0]
    assert reading.texts["source"] == ["w1", "w2", "w3", "</s>"]
    for t, row in enumerate(attention.rows()):  # w1, of which all others stand behind, is read last
        np.testing.assert_allclose(row[::-1], expected[3 - t, : 3 - t].tolist(), atol=1e-6)


def test_a_decoder_attends_what_it_has_read_and_what_it_starts_from():
    [reading, *_] = read("translation")
    assert reading.texts == {
        "source": ["w1", "w2", "w3", "</s>"],
        "decoder": ["(source)", "</s>", "w4", "w5", "w6"],
        "target": ["w4", "w5", "w6", "</s>"],
    }
    assert [attention.title for attention in reading.maps] == [
        "encoder, layer 1",
        "decoder, layer 1",
        "fusion, layer 1",
    ]
    assert reading.maps[1].rows()[1].tolist() == [1]
    [stranger] = read("translation", [b"w1\tw2 zzz"])
    assert stranger.unknown == {"source": [], "decoder": [3], "target": [1]}
    assert reading.alignment == reading.maps[2].weights.argmax(axis=1).tolist()


@pytest.mark.parametrize("case", ["translation, deep", "lstm"])
def test_a_translation_of_its_own_reads_like_one_from_the_line(case):
    model = trained(case)
    for reading in read(case, [b"w1 w2 w3", b"w4"], model):
        target = " ".join(reading.texts["target"][:-1])
        if not target or "<" in target:
            continue
        source = " ".join(reading.texts["source"][:-1])
        same_weights(read(case, [f"{source}\t{target}".encode()], model), [reading])


@pytest.mark.parametrize("outputs", [None, 6])
def test_surprisals_are_those_of_the_model(outputs):
    model = trained("lm", outputs)
    [reading] = read("lm", [b"w1 w2"], model)
    dictionary = model.task.source_dictionary
    first, second = (dictionary.index(word) for word in ("w1", "w2"))
    scores, _ = model.model(torch.tensor([[dictionary.eos(), first]]))
    expected = -scores.log_softmax(dim=-1) / np.log(2)
    none, *bits = reading.surprisals["text"]
    second = dictionary.unk() if outputs == second else second  # beyond the outputs, as a target
    assert none is None
    assert reading.texts["text"] == ["</s>", "w1", "w2"]
    assert bits == pytest.approx([float(expected[0, 0, first]), float(expected[0, 1, second])])


@all_cases
def test_unknown_words_are_shown_as_written(case):
    reading = read(case)[2]
    unknown = [reading.texts[name][t] for name, tokens in reading.unknown.items() for t in tokens]
    assert unknown == ["zzz"]


@all_cases
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_gives_the_same_picture(case, kind):
    half = trained(case)
    half = half._replace(model=half.model.to(kind))
    for full, rounded in pairs_of_maps(read(case), read(case, model=half)):
        full_bytes, rounded_bytes = (as_bytes(m.weights).astype(int) for m in (full, rounded))
        assert np.abs(full_bytes - rounded_bytes).max() <= 1


@all_cases
def test_memory_that_nobody_wrote_is_not_shown(case):
    """torch fills new memory with NaN here."""
    expected = read(case)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        filled = read(case)
    finally:
        torch.use_deterministic_algorithms(False)
    same_weights(expected, filled)


def test_non_finite_numbers_are_said():
    models = trained("lm"), trained("classifier")
    head = models[1].model.classification_heads["head"]
    with torch.no_grad():
        models[0].model.decoder.embed_tokens.weight[4] = float("nan")  # w0
        list(head.parameters())[-1][0] = float("nan")
    sound, attention = read("lm", [b"w1 w2", b"w1 w0 w2"], models[0])
    [probabilities] = read("classifier", [b"w1 w2"], models[1])
    assert sound.error is None
    assert attention.error == "the model's attention is not a number (NaN)"
    assert probabilities.error == "the model's probabilities are no numbers (NaN or 0)"


def test_a_bad_line_is_answered_in_its_place():
    [long] = read("lm", [b"w1 " * 1000])
    assert long.error == "1001 tokens with the end, but at most 1000 can be shown"
    answers = read("pair", [b"w1\tw2", b"w1", b"\xff\tw2", b"w1\t<pad>", b"w1\tw3"])
    assert [reading.line for reading in answers] == [1, 2, 3, 4, 5]
    assert [reading.error for reading in answers] == [
        None,
        "1 sentences separated by TAB, but the model reads 2",
        "not UTF-8 text",
        "<pad> is a mark that fairseq adds by itself",
        None,
    ]


def test_a_layer_alone():
    for number in (1, 2):
        [reading] = read("classifier", [b"w1 w2"], layer=number)
        assert [one.layer for one in reading.maps] == [number]
    with pytest.raises(InputError, match="--layer 3: the model has 1, 2"):
        read("classifier", [b"w1 w2"], layer=3)


@pytest.mark.parametrize(
    "case, lstms, opening",
    [
        ("lm, pointer", [True, False], 1),
        ("lm, 3 layers, span", [False] * 3, 2),
        ("translation", [False] * 3, 0),
        ("translation, deep", [False] * 8, 1),
        ("classifier", [False] * 2, 1),
        ("pair", [False] * 6, 1),
        ("lstm", [False], 0),
    ],
)
def test_layers_without_a_tape_are_known(case, lstms, opening):
    for reading in read(case):
        assert [attention.is_lstm for attention in reading.maps] == lstms
        assert reading.opening == opening


@pytest.mark.parametrize("case", ["translation, deep", "classifier", "pair", "pair, apart"])
def test_a_span_of_one_is_no_tape(case, monkeypatch):
    arch, options = CASES[case]
    monkeypatch.setitem(CASES, case, (arch, {**options, "memory_span": 1}))
    for reading in read(case):
        assert all(
            attention.is_lstm == (attention.direction != ACROSS) for attention in reading.maps
        )


def test_what_cannot_be_shown_is_named():
    with pytest.raises(InputError, match="has no line"):
        list(readings(reader(trained("lm")), []))
    model = trained("classifier")._replace(model=torch.nn.Linear(1, 1), path="m.pt")
    with pytest.raises(InputError, match="m.pt: its model .Linear. has no tape"):
        reader(model)
