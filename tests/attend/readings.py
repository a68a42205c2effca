"""Readings without a model, with random weights."""

import numpy as np

from fairseq_lstmn.attend.reading import ACROSS, BACKWARD, FORWARD, Map, Reading


def weights(rows, columns, direction, seed=0):
    """Random weights whose rows sum to one where a token may look."""
    drawn = np.random.default_rng(seed).exponential(size=(rows, columns)) ** 3
    drawn = {FORWARD: np.tril(drawn, -1), BACKWARD: np.triu(drawn, 1), ACROSS: drawn}[direction]
    return (drawn / drawn.sum(axis=1, keepdims=True).clip(min=1e-9)).astype(np.float32)


def language(tokens, layers=1, line=1):
    """A reading of a language model."""
    words = [f"word{k}"[: 2 + k % 7] for k in range(tokens)]
    maps = [
        Map("text", k, FORWARD, "text", "text", weights(tokens, tokens, FORWARD, k))
        for k in range(1, layers + 1)
    ]
    bits = [None, *(k % 13 + 0.5 for k in range(tokens - 1))]
    return Reading({"text": words}, maps, {"text": [1]}, {"text": bits}, line=line)


def pointer(tokens=9, line=1):
    """A reading of a language model whose first layer is an LSTM."""
    lstm, *others = language(tokens, layers=3).maps
    lstm = lstm._replace(weights=np.eye(tokens, k=-1, dtype=np.float32), is_lstm=True)
    return language(tokens, line=line)._replace(maps=[lstm, *others])


def translation(line=1):
    source, target = "der Hund bellt </s>".split(), "the dog barks loudly </s>".split()
    maps = [
        Map("encoder", 1, FORWARD, "source", "source", weights(4, 4, FORWARD)),
        Map("encoder", 1, BACKWARD, "source", "source", weights(4, 4, BACKWARD)),
        Map("fusion", 1, ACROSS, "target", "source", weights(5, 4, ACROSS)),
    ]
    texts = {"source": source, "target": target}
    bits = {"target": [1.0, 2.0, 3.0, 4.0, 5.0]}
    return Reading(texts, maps, surprisals=bits, alignment=[0, 1, 2, 2, 3], line=line)


def even():
    """A reading whose every weight is 1/16."""
    reading = language(9)
    reading.maps[0].weights[:] = np.tril(np.full((9, 9), 0.0625), -1)
    return reading


def write(output, readings):
    for reading in readings:
        output.add(reading)
    output.close()
    return output
