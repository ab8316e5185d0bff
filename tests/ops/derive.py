"""Value and gradient of an operation at single points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def at(function: Callable[..., Tensor], *arguments: object, dtype: torch.dtype = torch.float32) -> tuple[list, ...]:
    """The value of a function, and its gradient for each argument when 1 comes into every element of the value."""
    leaves = [torch.tensor(a, dtype=dtype, requires_grad=True) for a in arguments]
    value = function(*leaves)
    gradients = torch.autograd.grad(value.sum(), leaves)
    return value.tolist(), *(g.tolist() for g in gradients)


def second(function: Callable[..., Tensor], *arguments: object) -> list[list]:
    """The gradients of the sum of all first derivatives."""
    leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arguments]
    first = torch.autograd.grad(function(*leaves).sum(), leaves, create_graph=True)
    total = torch.stack([g.sum() for g in first]).sum()
    return [g.tolist() for g in torch.autograd.grad(total, leaves)]


def same(got: object, wanted: object) -> bool:
    """Equality to the sign of zero apart, with nan equal to nan, through lists."""
    return torch.allclose(torch.tensor(got), torch.tensor(wanted), rtol=0, atol=0, equal_nan=True)
