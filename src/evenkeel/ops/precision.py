"""In which precision an operation computes, and in which it answers."""

from __future__ import annotations

import torch
from torch import Tensor

_NARROW = (torch.float16, torch.bfloat16)


def widened(x: Tensor) -> Tensor:
    """float16 and bfloat16 as float32, in which the operation computes; anything else is itself.

    Gradients come back in the dtype of `x`. Cost: one copy for narrow dtypes, none for others.
    """
    return x.float() if x.dtype in _NARROW else x
