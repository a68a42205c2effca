"""Memory in huge pages, where Linux grants them to whoever asks.

A tape of some megabytes is read whole at every step. In pages of 4 KiB looking up where these
stand takes as long as reading them.
"""

import ctypes
import sys
from typing import Any

import torch
from torch import Tensor

PAGE = 2**21  # bytes
ADVICE = 14  # MADV_HUGEPAGE
_libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


def in_huge_pages(tensor: Tensor) -> Tensor:
    """``tensor``, not yet written, whose whole huge pages are asked for."""
    # a fake tensor has no memory
    if _libc is None or tensor.device.type != "cpu" or type(tensor) is not torch.Tensor:
        return tensor
    begin = -(-tensor.data_ptr() // PAGE) * PAGE
    end = (tensor.data_ptr() + tensor.numel() * tensor.element_size()) // PAGE * PAGE
    if end > begin:
        _libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), ADVICE)
    return tensor
