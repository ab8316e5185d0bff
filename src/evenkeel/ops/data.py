"""What operations ask of data, as opposed to parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError


def as_data(counts: Tensor, dtype: torch.dtype) -> Tensor:
    """The counts in the precision of the computation.

    Raises:
        UsageError: a gradient is asked for, which likelihoods of counts do not have.
    """
    if counts.requires_grad:
        raise UsageError("counts are data, and this likelihood has no gradient for them; pass counts.detach()")
    return counts.to(dtype)
