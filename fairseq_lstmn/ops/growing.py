"""A tape for going on step by step: what is there is neither copied nor cast.

B batch, T steps, P slots, H hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from fairseq_lstmn.errors import InputError
from fairseq_lstmn.ops.cache import Cache, Once
from fairseq_lstmn.ops.passes.autograd import is_inference
from fairseq_lstmn.ops.passes.inputs import Inputs, Results
from fairseq_lstmn.ops.prepare import cast, checked, fill_in_mask, fill_in_tape, precision
from fairseq_lstmn.ops.types import Attention, Tape, Weights, mapped

SMALLEST = 16  # slots of space that a new cache has at least


class GrowingTape:
    """A layer's state that ``lstmn(..., tape=growing)`` grows in place and returns.

    Holds a copy of ``tape``, or nothing yet, in buffers that nobody else sees and that double
    when they are full; in the precision of the computation, float32 for half precision inputs.
    A text needs one of its own: ``GrowingTape(growing.tape())`` for another that goes on from
    the same place. Gradients flow through it as through a ``Tape``, and what ``copy`` and
    ``pickle`` make of it has none. Used by two threads at a time it raises InputError. Without
    gradients, weights that change by way of ``.data`` while it is in use are not seen.
    """

    def __init__(self, tape: Tape | None = None) -> None:
        self._tape = tape and tape.map(torch.clone)
        # where the slots of _tape are the last ones, as soon as there is one
        self._cache: Cache | None = None
        self._weights, self._source = Once(), Once()
        self._lock = Lock()

    def tape(self) -> Tape | None:
        """A copy as a ``Tape``, with what it has; None as long as it has nothing."""
        with self._alone():
            self._share_nothing()
            return self._tape and self._tape.map(torch.clone)

    def latest(self, slots: int) -> GrowingTape:
        """Forget all but the latest ``slots`` slots; returns itself."""
        with self._alone():
            self._tape = self._tape and self._tape.latest(slots)
        return self

    def reorder(self, rows: Tensor) -> GrowingTape:
        """Take ``rows`` (B',) for its rows, in place; returns itself."""
        with self._alone():
            cache = self._cache
            if cache is not None and not cache.final and len(rows) <= len(cache.slots):
                assert self._tape is not None  # it stands in the cache
                cache.reorder(rows)
                others = mapped(lambda part: part.index_select(0, rows), tuple(self._tape[3:]))
                self._look_at(cache, others)
            else:
                self._share_nothing()
                self._tape, self._cache = self._tape and self._tape.reorder(rows), None
        return self

    def _share_nothing(self) -> None:
        """Have every row's slots where ``_tape`` looks for them."""
        if self._cache is not None and self._cache.authors is not None:
            assert self._tape is not None
            self._cache.share_nothing(self._tape.hidden.size(1))
            self._look_at(self._cache, self._tape[3:])

    def _look_at(self, cache: Cache, others: Sequence[Tensor | None]) -> None:
        """Be as many of the last slots of ``cache`` as before, with the ``others`` of a tape."""
        assert self._tape is not None
        count, width = self._tape.hidden.shape[1:]
        slots, keys = cache.window(count, 0)
        self._tape = Tape(slots[..., :width], slots[..., width:], keys, *others)

    def grow(
        self,
        inputs: Inputs,
        lengths: Tensor | None,
        layer: Callable[[Inputs], Results],
        reads_authors: bool = False,
    ) -> tuple[Tensor, Attention | None]:
        """Run ``Inputs`` and become the tape after them, by what computes a ``layer``.

        Returns its outputs and attention. ``reads_authors``: whether it does in inference.
        """
        with self._alone():
            reads_authors &= lengths is None and is_inference()
            if not reads_authors or self._is_cast(precision(inputs)):
                self._share_nothing()
            inputs = inputs._replace(tape=self._tape)  # type: ignore[arg-type]  # filled in below
            inputs, batch = checked(inputs, lengths)
            with torch.set_grad_enabled(torch.is_grad_enabled() and requires_grad(inputs)):
                inputs = self._prepare(inputs)
                outputs, tape, attention = batch.run(layer, inputs)
            self._keep(tape, inputs.cache, steps=inputs.query_inputs.size(1))
        return outputs, attention

    def _keep(self, tape: Tape, cache: Cache | None, steps: int) -> None:
        """Be ``tape``, whose ``steps`` stand in ``cache`` if the backend has put them there."""
        if cache is not None and cache.has(tape.hidden):
            cache.filled += steps
            cache.final |= tape.hidden.requires_grad
        else:
            cache = None
        self._tape, self._cache = tape, cache

    def _prepare(self, inputs: Inputs) -> Inputs:
        """``inputs`` filled in, in one precision, with a cache where the tape can grow."""
        dtype, steps = precision(inputs), inputs.query_inputs.size(1)
        inputs = self._cast(inputs._replace(source=fill_in_mask(inputs.source)), dtype)
        cache = self._cache
        if cache is None or self._is_cast(dtype):
            tape = fill_in_tape(inputs.tape, inputs.weights, inputs.query_inputs)
            cache = Cache.of(tape, space(tape, steps))
            return inputs._replace(tape=tape, cache=cache)
        if not cache.can_grow(steps):
            cache = cache.larger(inputs.tape.hidden.size(1), space(inputs.tape, steps))
        return inputs._replace(cache=cache)

    def _is_cast(self, dtype: torch.dtype) -> bool:
        """Whether a computation in ``dtype`` needs the slots in another one."""
        return self._cache is not None and self._cache.slots.dtype != dtype

    def _cast(self, inputs: Inputs, dtype: torch.dtype) -> Inputs:
        """``inputs`` in ``dtype``, of which most came already in the call before."""
        *weights, bias = cast_once(self._weights, dtype, *inputs.weights, inputs.distance_bias)
        source = inputs.source
        if source is not None:
            keys, slots = cast_once(self._source, dtype, source.keys, source.slots)
            source = source._replace(keys=keys, slots=slots)
        inputs = inputs._replace(weights=Weights(*weights), source=source, distance_bias=bias)
        return cast(inputs, dtype)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else's turn; what is computed is of use in every mode, also in inference mode."""
        if not self._lock.acquire(blocking=False):
            raise InputError("a GrowingTape is used by two threads at a time: give each its own")
        grad_enabled = torch.is_grad_enabled()  # which the mode that is left says for itself
        aside = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
        try:
            with aside, torch.set_grad_enabled(grad_enabled):
                yield
        finally:
            self._lock.release()

    def __reduce__(self) -> tuple[type[GrowingTape], tuple[Tape | None]]:
        tape = self.tape()
        return GrowingTape, (tape and tape.map(torch.detach),)


def cast_once(once: Once, dtype: torch.dtype, *tensors: Tensor | None) -> tuple[Any, ...]:
    """``tensors``, of which some may be None, in ``dtype``; cast once as long as they are the same.

    Anew also when gradients are enabled and were not, or the other way about.
    """
    if all(tensor is None or tensor.dtype == dtype for tensor in tensors):
        return tensors
    key = dtype, torch.is_grad_enabled()
    return once(lambda *parts: cast(parts, dtype), *tensors, key=key)


def space(tape: Tape, steps: int) -> int:
    """A new cache's behind ``tape``: twice what it needs, so that a slot is copied about once."""
    return max(SMALLEST, tape.hidden.size(1) + steps)


def requires_grad(inputs: Inputs) -> bool:
    """Whether a tensor of ``Inputs`` requires a gradient."""
    flags: list[bool] = []
    mapped(lambda part: flags.append(part.requires_grad), inputs)
    return any(flags)
