from __future__ import annotations

import torch

from evenkeel.ops.precision import widened


def test_narrow_dtypes_are_widened() -> None:
    """To float32, and their gradient comes back narrow."""
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.ones(2, dtype=dtype, requires_grad=True)
        wide = widened(x)
        assert wide.dtype == torch.float32
        (slope,) = torch.autograd.grad(wide.sum(), x)
        assert slope.dtype == dtype


def test_other_dtypes_are_not_copied() -> None:
    """Float32 and float64 are themselves."""
    for dtype in (torch.float32, torch.float64):
        x = torch.ones(2, dtype=dtype)
        assert widened(x) is x
