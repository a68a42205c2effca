"""Right-padded batches: what happens to padded steps, and which slots a tape keeps.

B batch, T steps, P prefix slots, H hidden width.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor

from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.types import Attention, Tape, mapped

TensorOrNone = TypeVar("TensorOrNone", Tensor, Tensor | None)


def empty_slots(lengths: Tensor, slots: int) -> Tensor:
    """(B, slots), True at the slots of a tape that are not among the last ``lengths`` (B,)."""
    distance = torch.arange(slots, 0, -1, device=lengths.device)
    return distance > lengths.unsqueeze(1)


def to_host(*lengths: Tensor | None) -> list[list[int] | None]:
    """Each (B,) of integers, or None, as a list; what stands on a device comes in one copy."""
    present = [part for part in lengths if part is not None]
    if not present:
        return [None for _ in lengths]
    device = present[0].device
    lists = iter(torch.stack([part.to(device, torch.long) for part in present]).tolist())
    return [part if part is None else next(lists) for part in lengths]


class RaggedBatch:
    """Rows of ``lengths`` (B,), which are ``counts`` as a list; None for all T steps everywhere.

    Nothing here waits for a device.
    """

    def __init__(
        self,
        lengths: Tensor | None,
        counts: list[int] | None,
        batch: int,
        steps: int,
        device: torch.device,
    ) -> None:
        self.batch, self.steps, self.counts = batch, steps, counts
        self.lengths: Tensor | None = None
        if lengths is not None and counts is not None:
            self.lengths = lengths.to(device, torch.long, non_blocking=True)
            self.padding = torch.arange(steps, device=device) >= self.lengths.unsqueeze(1)
            self.order = self.lengths.argsort(descending=True, stable=True)

    def run(
        self, layer: Callable[[Inputs], Results], inputs: Inputs
    ) -> tuple[Tensor, Tape, Attention | None]:
        """Outputs, tape and attention of these rows' ``inputs``, by what computes a ``layer``."""
        results = layer(self.longest_first(inputs))
        if inputs.discard_attention:
            results = results._replace(attention=None, source_attention=None)
        results = self.in_first_order(results)
        # a copy: callers may write into outputs, but not into the tape
        outputs = self.zero_padding(results.hidden[:, inputs.tape.hidden.size(1) :])
        outputs = outputs.clone(memory_format=torch.contiguous_format)
        attention = None
        if results.attention is not None:
            attention = Attention(self.zero_padding(results.attention))
            if inputs.source is not None:
                attention = attention._replace(
                    source=self.zero_padding(results.source_attention),
                    context=self.zero_padding(results.source_summaries),
                )
        return outputs, self.extend(inputs.tape, results), attention

    def longest_first(self, inputs: Inputs) -> Inputs:
        """``Inputs`` with zeros at padded steps and the longest rows first, and their ``rows``.

        The tape leaves its cache, where rows stand in their first order.
        """
        if self.lengths is None or self.counts is None:
            return inputs

        def in_order(part: Tensor) -> Tensor:
            return part.index_select(0, self.order)

        source = inputs.source
        if source is not None:
            source = source.for_each(self.batch)._replace(
                query_inputs=self.zero_padding(source.query_inputs),
                gate_inputs=self.zero_padding(source.gate_inputs),
            )
        return inputs._replace(
            query_inputs=in_order(self.zero_padding(inputs.query_inputs)),
            gate_inputs=in_order(self.zero_padding(inputs.gate_inputs)),
            tape=mapped(in_order, inputs.tape),
            source=mapped(in_order, source),
            rows=self._rows(self.counts),
            cache=None,
        )

    def in_first_order(self, results: Results) -> Results:
        """``Results`` of rows ``longest_first`` with the rows in the order in which they came."""
        if self.lengths is None:
            return results
        first_order = self.order.argsort()
        return cast(Results, mapped(lambda part: part.index_select(0, first_order), results))

    def _rows(self, counts: list[int]) -> list[int]:
        """How many rows have a step t, T counts."""
        ordered = sorted(counts)
        return [self.batch - bisect_right(ordered, t) for t in range(self.steps)]

    def zero_padding(self, values: TensorOrNone) -> TensorOrNone:
        """Zero at padded steps, whatever stood there, in ``values`` (B, T, ...) or None."""
        if self.lengths is None or values is None:
            return values
        return values.masked_fill(self.padding.unsqueeze(-1), 0)

    def extend(self, tape: Tape, results: Results) -> Tape:
        """``tape`` after the valid ones of the steps with these ``results``, newest slot last."""
        assert tape.summary is not None and tape.source_summary is not None
        hidden, memory, keys = map(self._align, results[:3])
        lengths = self._slots_filled(tape)
        if self.lengths is not None and lengths is not None:
            empty = empty_slots(lengths, hidden.size(1)).unsqueeze(-1)
            hidden, memory, keys = (part.masked_fill(empty, 0) for part in (hidden, memory, keys))
        return Tape(
            *(hidden, memory, keys),
            self._last(tape.summary, results.summaries),
            self._last(tape.source_summary, results.source_summaries),
            lengths,
        )

    def _slots_filled(self, tape: Tape) -> Tensor | None:
        """How many of the new tape's slots are valid in each row; None for all."""
        if tape.lengths is None:
            return None if self.lengths is None else tape.hidden.size(1) + self.lengths
        return tape.lengths + (self.steps if self.lengths is None else self.lengths)

    def _align(self, slots: Tensor) -> Tensor:
        """Shift the rows of ``slots`` (B, P + T, H) right by their padding."""
        if self.lengths is None:
            return slots
        to_slot = torch.arange(slots.size(1), device=slots.device)
        from_slot = to_slot - (self.steps - self.lengths).unsqueeze(1)
        index = from_slot.clamp(min=0).unsqueeze(-1).expand_as(slots)
        return slots.gather(1, index)

    def _last(self, before: Tensor, summaries: Tensor) -> Tensor:
        """Each row's vector (B, H) at its last valid step, ``before`` where it has none."""
        if self.lengths is None:
            return summaries[:, -1].clone()  # of its own: a tape outlives its call
        rows = torch.arange(self.batch, device=summaries.device)
        return torch.cat([before.unsqueeze(1), summaries], dim=1)[rows, self.lengths]
