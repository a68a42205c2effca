"""Where passes that run one at a time read and write."""

import torch

from fairseq_lstmn.ops.triton.arena import Arena, Shape


def test_tensors_stand_one_behind_the_other_in_the_order_of_their_shapes():
    arena, mask = Arena(), torch.ones(3, 2, dtype=torch.bool)
    steps_first = torch.zeros(4, 2, 3).transpose(0, 1)
    shapes = Shape.of(mask), None, (Shape.of(steps_first, 1, 2), "constant")
    first, nothing, (second, constant) = arena.place(shapes)
    assert (nothing, constant) == (None, "constant")
    assert (first.dtype, first.shape) == (mask.dtype, mask.shape)
    assert second.shape == (3, 6, 3) and second.transpose(0, 1).is_contiguous()
    first.fill_(True), second.fill_(2.0)
    assert first.all() and (second == 2).all()
    assert arena.place(shapes)[0].data_ptr() == first.data_ptr()


def test_passes_that_grow_a_little_each_time_take_three_times_the_largest():
    """At most: the memory for it may have been doubled, and smaller ones are still in use."""
    arena, places = Arena(), []
    for size in range(1, 100):
        places.append(arena.place(Shape.of(torch.empty(size, 1024))))
    memories = {part.untyped_storage().data_ptr(): part.untyped_storage() for part in places}
    assert sum(memory.nbytes() for memory in memories.values()) <= 3 * 99 * 4096
