"""Small tensors of every dtype and layout, for properties."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
SMALL_FLOATS = [d for name in ("float8_e4m3fn", "float8_e5m2") if (d := getattr(torch, name, None)) is not None]
OTHERS = [torch.complex64, torch.int64, torch.uint8, torch.bool]
PLAIN = [0.0, -0.0, 1.0, -2.5, 6e4, 3e38, -3e38, 1e-30]
BAD = [math.nan, math.inf, -math.inf]


def laid_out(values: Tensor, layout: str) -> Tensor:
    """The same values in another shape or with other strides."""
    if layout == "matrix":
        return values.reshape(1, -1)
    if layout == "strided":
        return torch.stack([values, torch.zeros_like(values)], dim=-1)[..., 0]
    if layout == "expanded":
        return values.expand(3, *values.shape)
    if layout == "transposed":
        return torch.stack([values, values]).T
    if layout == "offset":
        return torch.cat([torch.zeros_like(values[:1]), values])[1:]
    return values


LAYOUTS = ["flat", "matrix", "strided", "expanded", "transposed", "offset"]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """A small tensor of any dtype and layout, often with something non-finite in it."""
    dtype = draw(st.sampled_from([*FLOATS, *SMALL_FLOATS, *OTHERS]))
    numbers = st.sampled_from([*PLAIN, *BAD]) if draw(st.booleans()) else st.sampled_from(PLAIN)
    values = draw(st.lists(numbers, min_size=0, max_size=6))
    if dtype.is_complex:
        pairs = [complex(v, values[-1 - i]) for i, v in enumerate(values)]
        made = torch.tensor(pairs, dtype=dtype)
    elif dtype.is_floating_point:
        made = torch.tensor(values, dtype=torch.float64).to(torch.float32).to(dtype)
    else:
        made = torch.tensor([int(math.isfinite(v) and v > 0) for v in values], dtype=dtype)
    if values and draw(st.booleans()):
        made = made[0]
    return laid_out(made, draw(st.sampled_from(LAYOUTS))) if made.dim() and made.numel() else made
