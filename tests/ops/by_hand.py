"""Equations 4-9 and 12-16 of the paper, and shallow fusion, row by row, slot by slot:
what the oracle answers to.

Nothing here is batched, masked, padded or stacked until the very end.
T steps, P prefix slots, S source length, H hidden width, R distances.
"""

import torch

from .cases import alone


def run(arguments):
    """The results of ``cases.run`` for the same arguments, from each row read alone."""
    batch, steps, width = arguments["query_inputs"].shape
    tape, source = arguments["tape"], arguments["source"]
    prefix = 0 if tape is None else tape.hidden.size(1)

    def zeros(*shape):
        return arguments["query_inputs"].new_zeros(batch, *shape)

    results = {
        "outputs": zeros(steps, width),
        "tape.hidden": zeros(prefix + steps, width),
        "tape.memory": zeros(prefix + steps, width),
        "tape.keys": zeros(prefix + steps, width),
        "tape.summary": zeros(width),
        "attention.tape": zeros(steps, prefix + steps),
    }
    if source is not None:
        results["tape.source_summary"] = zeros(width)
        results["attention.source"] = zeros(steps, source.keys.size(1))
        results["attention.context"] = zeros(steps, width)

    for b in range(batch):
        row = Row(**alone(arguments, b))
        before = len(row.hidden)
        for t in range(row.steps):
            weights, source_weights = row.step(t)
            results["outputs"][b, t] = row.hidden[-1]
            for i, weight in enumerate(weights):
                results["attention.tape"][b, t, prefix - before + i] = weight
            if source is not None:
                mask = slice(None) if source.mask is None else source.mask[b]
                results["attention.source"][b, t, mask] = source_weights
                results["attention.context"][b, t] = row.source_summary
        for i in range(1, len(row.hidden) + 1):
            results["tape.hidden"][b, -i] = row.hidden[-i]
            results["tape.memory"][b, -i] = row.memory[-i]
            results["tape.keys"][b, -i] = row.keys[-i]
        results["tape.summary"][b] = row.summary
        if source is not None:
            results["tape.source_summary"][b] = row.source_summary
    return results


class Row:
    """One unpadded row of a layer: its tapes are lists of vectors (H,)."""

    def __init__(
        self,
        query_inputs,
        gate_inputs,
        weights,
        tape,
        source,
        lengths,
        memory_span,
        distance_bias,
    ):
        assert lengths is None
        self.queries, self.gates, self.weights = query_inputs[0], gate_inputs[0], weights
        self.steps, width = self.queries.shape
        self.source, self.span, self.bias = source, memory_span, distance_bias
        self.hidden, self.memory, self.keys = [], [], []
        self.summary = self.source_summary = self.queries.new_zeros(width)
        if tape is not None:
            self.hidden, self.memory = list(tape.hidden[0]), list(tape.memory[0])
            self.keys = list(tape.keys[0])
            self.summary = tape.summary[0]
            if source is not None:
                self.source_summary = tape.source_summary[0]

    def step(self, t):
        """Write one slot; the weights of its attention on the slots there were and the source."""
        weights, now = self.weights, len(self.hidden)
        scores = {}
        for i in range(now):
            if self.span and now - i > self.span:
                continue
            blend = self.keys[i] + self.queries[t] + weights.summary_query @ self.summary
            scores[i] = weights.score @ torch.tanh(blend)  # (4)
            if self.bias is not None:
                scores[i] = scores[i] + self.bias[min(now - i - 1, len(self.bias) - 1)]
        attention = softmax(scores)  # (5)
        self.summary = torch.zeros_like(self.summary)
        memory_summary = torch.zeros_like(self.summary)
        for i, weight in attention.items():  # (6)
            self.summary = self.summary + weight * self.hidden[i]
            memory_summary = memory_summary + weight * self.memory[i]

        gates = self.gates[t] + weights.summary_gates @ self.summary  # (7)
        source_weights = None
        if self.source is not None:
            source_weights, context_memory = self.read_source(t)
        if self.source is not None and self.source.gate_inputs is None:
            gates = gates + weights.source_gate @ self.source_summary
        i_gate, f_gate, candidate, o_gate = gates.split(len(self.summary))
        cell = f_gate.sigmoid() * memory_summary + i_gate.sigmoid() * candidate.tanh()  # (8)
        if self.source is not None and self.source.gate_inputs is not None:
            r_gate = self.source.gate_inputs[0, t] + weights.source_gate @ self.source_summary
            cell = cell + r_gate.sigmoid() * context_memory  # (14), (15)
        state = o_gate.sigmoid() * cell.tanh()  # (9), (16)
        self.hidden.append(state)
        self.memory.append(cell)
        self.keys.append(weights.key @ state)
        return [attention.get(i, 0.0) for i in range(now)], source_weights

    def read_source(self, t):
        """Equations 12 and 13: weights (S,) on the source and al~_t, 0 without a memory tape."""
        source, weights = self.source, self.weights
        width = len(self.summary)
        follows = self.summary if source.gate_inputs is None else self.source_summary
        query = source.query_inputs[0, t]
        if weights.source_query is not None:
            query = query + weights.source_query @ follows
        scores = {}
        for j in range(source.keys.size(1)):
            scores[j] = weights.source_score @ torch.tanh(source.keys[0, j] + query)  # (12)
        attention = softmax(scores)
        self.source_summary = torch.zeros_like(self.source_summary)
        memory_summary = torch.zeros_like(self.source_summary)
        for j, weight in attention.items():  # (13)
            self.source_summary = self.source_summary + weight * source.slots[0, j, :width]
            if source.gate_inputs is not None:
                memory_summary = memory_summary + weight * source.slots[0, j, width:]
        everything = list(attention.values())
        weights = torch.stack(everything) if everything else source.keys.new_zeros(0)
        return weights, memory_summary


def softmax(scores):
    """Weights that sum to 1, by slot; none where there is no slot."""
    exponentials = {i: score.exp() for i, score in scores.items()}
    total = sum(exponentials.values())
    return {i: value / total for i, value in exponentials.items()}
