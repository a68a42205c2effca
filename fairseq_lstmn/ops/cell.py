"""The gates and the state of one step, given the summary: (7)-(9), and back.

B batch, H hidden width. Gates stand in torch's order: input, forget, candidate, output.
"""

import torch

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def cell(gates, memory, fused, slot):
    """Write [h_t; c_t] into ``slot`` (B, 2H) and activate ``gates`` (B, 4H) in place.

    ``memory`` (B, H) is c~_t; ``fused`` (B, H) joins c_t in deep fusion (15), else None.
    """
    width = memory.size(1)
    gates[:, : 2 * width].sigmoid_()
    gates[:, 2 * width : 3 * width].tanh_()
    gates[:, 3 * width :].sigmoid_()
    write, keep, candidate, show = gates.chunk(4, dim=1)
    state = (keep * memory).addcmul_(write, candidate)  # (8)
    if fused is not None:
        state += fused  # (15)
    slot[:, width:] = state
    slot[:, :width] = show * state.tanh()  # (9), (16)


def cell_backward(gates, memory, slot, d_slot, d_gates):
    """Take ``cell`` back: write ``d_gates`` (B, 4H), and [d c_t; d c~_t] over ``d_slot`` (B, 2H).

    ``d_slot`` comes as the gradient of [h_t; c_t] from outside the step; the d c_t that is written
    has what flows through (9) as well.
    """
    width = memory.size(1)
    write, keep, candidate, show = gates.chunk(4, dim=1)
    d_state, d_cell = d_slot.split(width, dim=1)
    tanh_cell = slot[:, width:].tanh()
    d_write, d_keep, d_candidate, d_show = d_gates.chunk(4, dim=1)
    d_show.copy_(sigmoid_backward(d_state * tanh_cell, show))
    d_cell = d_cell + tanh_backward(d_state * show, tanh_cell)  # (9)
    d_write.copy_(sigmoid_backward(d_cell * candidate, write))  # (8)
    d_keep.copy_(sigmoid_backward(d_cell * memory, keep))
    d_candidate.copy_(tanh_backward(d_cell * write, candidate))
    torch.cat([d_cell, d_cell * keep], dim=1, out=d_slot)
