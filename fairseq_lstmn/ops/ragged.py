"""Right-padded batches: what happens to padded steps, and which slots a tape keeps.

B batch, T steps, P prefix slots, H hidden width.
"""

from bisect import bisect_right

import torch

from fairseq_lstmn.ops.types import Tape, mapped


def empty_slots(lengths, slots):
    """(B, slots), True at the slots of a tape that are not among the last ``lengths`` (B,)."""
    distance = torch.arange(slots, 0, -1, device=lengths.device)
    return distance > lengths.unsqueeze(1)


def to_host(*lengths):
    """Each (B,) of integers, or None, as a list; what stands on a device comes in one copy."""
    there = [part for part in lengths if part is not None]
    if not there:
        return lengths
    device = there[0].device
    found = iter(torch.stack([part.to(device, torch.long) for part in there]).tolist())
    return [part if part is None else next(found) for part in lengths]


class RaggedBatch:
    """Rows of ``lengths`` (B,), which are ``counts`` as a list; None for all T steps everywhere.

    Nothing here waits for a device.
    """

    def __init__(self, lengths, counts, batch, steps, device):
        self.batch, self.steps, self.counts = batch, steps, counts
        self.lengths = None
        if counts is not None:
            self.lengths = lengths.to(device, torch.long, non_blocking=True)
            self.padding = torch.arange(steps, device=device) >= self.lengths.unsqueeze(1)
            self.order = self.lengths.argsort(descending=True, stable=True)

    def longest_first(self, inputs):
        """``Inputs`` with zeros at padded steps and the longest rows first, and their ``rows``.

        The tape leaves its room, where rows stand in the order that was given.
        """
        if self.lengths is None:
            return inputs

        def in_order(part):
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
            rows=self._rows(),
            room=None,
        )

    def as_given(self, made):
        """``Results`` made of rows ``longest_first`` with the rows in the order that was given."""
        if self.lengths is None:
            return made
        given = self.order.argsort()
        return mapped(lambda part: part.index_select(0, given), made)

    def _rows(self):
        """How many rows have a step t, T counts."""
        ordered = sorted(self.counts)
        return [self.batch - bisect_right(ordered, t) for t in range(self.steps)]

    def zero_padding(self, values):
        """Zero at padded steps, whatever stood there, in ``values`` (B, T, ...) or None."""
        if self.lengths is None or values is None:
            return values
        return values.masked_fill(self.padding.unsqueeze(-1), 0)

    def extend(self, tape, made):
        """``tape`` (complete) after the valid ones of the ``made`` steps, newest slot last."""
        slots = [self._align(grown) for grown in (made.hidden, made.memory, made.keys)]
        lengths = self._slots_filled(tape)
        if self.lengths is not None:
            empty = empty_slots(lengths, slots[0].size(1)).unsqueeze(-1)
            slots = [values.masked_fill(empty, 0) for values in slots]
        return Tape(
            *slots,
            self._last(tape.summary, made.summaries),
            self._last(tape.source_summary, made.source_summaries),
            lengths,
        )

    def _slots_filled(self, tape):
        """How many of the new tape's slots are valid in each row; None for all."""
        if self.lengths is None and tape.lengths is None:
            return None
        before = tape.hidden.size(1) if tape.lengths is None else tape.lengths
        return before + (self.steps if self.lengths is None else self.lengths)

    def _align(self, slots):
        """Shift the rows of ``slots`` (B, P + T, H) right by their padding."""
        if self.lengths is None:
            return slots
        there = torch.arange(slots.size(1), device=slots.device)
        from_slot = there - (self.steps - self.lengths).unsqueeze(1)
        index = from_slot.clamp(min=0).unsqueeze(-1).expand_as(slots)
        return slots.gather(1, index)

    def _last(self, before, summaries):
        """Each row's vector (B, H) at its last valid step, ``before`` where it has none."""
        if self.lengths is None:
            return summaries[:, -1].clone()  # of its own: a tape outlives what it was made with
        rows = torch.arange(self.batch, device=summaries.device)
        return torch.cat([before.unsqueeze(1), summaries], dim=1)[rows, self.lengths]
