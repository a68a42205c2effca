"""A layer's passes with linear memory, by torch or by compiled kernels; start with `recompute`."""
