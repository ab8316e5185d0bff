"""Square roots whose slope at 0 is a stated number."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel.ops.elementwise import elementwise, unless_unused


def sqrt(x: Tensor) -> Tensor:
    """√x with slope 0 at 0.

    Convention: at 0 the one-sided slope is infinite; it is taken as 0, as the slope of a norm or a standard deviation
    at 0 is (pytorch#4320). Above 0 the slope is the true one, however steep: 1e19 at 1e-39. Where small values are
    noise, say how small: sqrt(x + eps) with eps on the scale of the data. An eps after the root guards nothing.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 0; inf at inf; nan below 0 and at nan.
    Gradient: 1 / (2·√x); 0 at 0.
    Error: 1 ulp; of the slope, 3 ulp.
    Cost: keeps `x` for backward.
    """
    return elementwise(torch.sqrt, (_sqrt_slope,), x)


def rsqrt(x: Tensor) -> Tensor:
    """1 / √x, and 0 with slope 0 where x is 0: what has no size has no share.

    For degrees of nodes, counts, variances: D^(-½) of a node without neighbours.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 0; 0 at inf; nan below 0 and at nan.
    Gradient: -1 / (2·x·√x), infinite where that exceeds the dtype; 0 at 0.
    Error: 2 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `x` for backward.
    """
    return elementwise(_rsqrt, (_rsqrt_slope,), x, through=unless_unused)


def _sqrt_slope(x: Tensor) -> Tensor:
    return 0.5 / torch.sqrt(_unless_zero(x))


def _rsqrt(x: Tensor) -> Tensor:
    return torch.rsqrt(_unless_zero(x))


def _rsqrt_slope(x: Tensor) -> Tensor:
    safe = _unless_zero(x)
    return -0.5 * torch.rsqrt(safe) / safe


def _unless_zero(x: Tensor) -> Tensor:
    """What has slope 0 in itself and in all that follows: one over infinity."""
    return torch.where(x == 0, math.inf, x)
