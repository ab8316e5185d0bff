"""Angles and hyperbolic distances from differences, and inverse functions at the edge of their domain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel.ops.elementwise import elementwise, unless_unused
from evenkeel.ops.norms import Dims, distance, norm, normalise
from evenkeel.ops.precision import widened


def angle(x: Tensor, y: Tensor, dim: Dims = -1) -> Tensor:
    """The angle between two vectors of any length, in [0, π].

    2·atan2(‖u - v‖, ‖u + v‖) of the directions u and v: exact to rounding at every angle, where the arc cosine of a
    cosine loses half the digits near 0 and π and has an infinite slope there.

    Shape: broadcast, without `dim`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for equal directions, π for opposite ones; π/2 with one zero vector and 0 between two (a zero vector is at
    right angles to all that have a direction); nan with inf or nan.
    Gradient: of length 1/‖x‖, along the circle; 0 where the directions are equal or opposite, and with a zero vector.
    Error: 4 ulp of 1 (absolute, as the directions are rounded once); the rounding of long sums comes on top.
    Cost: six tensors as large as the broadcast ones; four are kept for backward.
    Source: W. Kahan, "How Futile are Mindless Assessments of Roundoff in Floating-Point Computation?" (2006).
    """
    u, v = normalise(widened(x), dim), normalise(widened(y), dim)
    return _arc(u, v, dim).to(torch.promote_types(x.dtype, y.dtype))


def sphere_distance(x: Tensor, y: Tensor, dim: Dims = -1) -> Tensor:
    """The length of the arc between two points of the unit sphere, in [0, π].

    The points are taken as they are: their lengths have to be 1 up to rounding. For other vectors see `angle`.

    Shape: broadcast, without `dim`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for equal points; π for opposite ones; nan with nan.
    Gradient: a unit vector along the arc; 0 where the points are equal or opposite (geoopt: acos has inf there).
    Error: 4 ulp, for neighbouring points too: their differences are exact.
    Cost: two tensors as large as the broadcast ones, kept for backward.
    """
    return _arc(widened(x), widened(y), dim).to(torch.promote_types(x.dtype, y.dtype))


def poincare_distance(x: Tensor, y: Tensor, dim: Dims = -1) -> Tensor:
    """The hyperbolic distance between two points of the open unit ball.

    2·asinh(‖x - y‖ / √((1 - ‖x‖²)(1 - ‖y‖²))), which is acosh(1 + 2u) without the loss of u beside 1.

    Shape: broadcast, without `dim`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for equal points; inf with one point on the sphere; nan outside, with nan, and between equal points on it.
    Gradient: of length 2 / (1 - ‖x‖²) for x, likewise for y; 0 for equal points.
    Error: 5 ulp in the inner half of the ball; near its edge 1 - ‖x‖² has lost as many digits as ‖x‖² has nines.
    Cost: four tensors as large as the broadcast ones for backward.
    Source: the distance of the Poincaré ball as geoopt and geomstats have it; acosh(1 + 2u) = 2·asinh(√u).
    """
    a, b = widened(x), widened(y)
    room = torch.sqrt(1 - a.square().sum(dim)) * torch.sqrt(1 - b.square().sum(dim))
    return (2 * torch.asinh(distance(a, b, dim) / room)).to(torch.promote_types(x.dtype, y.dtype))


def acosh1p(u: Tensor) -> Tensor:
    """acosh(1 + u) for u >= 0, from u itself.

    Convention: slope 0 at 0, where the one-sided slope is infinite. Where u is a squared distance, take the distance
    as a norm and write 2·asinh(‖·‖ / √2): that slope is finite everywhere.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 0; inf at inf; nan below 0 and at nan.
    Gradient: 1 / √(u·(u + 2)); 0 at 0.
    Error: 3 ulp; of the slope, 4 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `u` for backward.
    """
    return elementwise(_acosh1p, (_acosh1p_slope,), u)


def acosh(x: Tensor) -> Tensor:
    """The inverse hyperbolic cosine, with slope 0 at 1.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 1; inf at inf; nan below 1 and at nan. Digits that were lost when x became nearly 1 are not found again:
    see `acosh1p`.
    Gradient: 1 / √((x - 1)(x + 1)); 0 at 1.
    Error: 3 ulp; 1 ulp in float16 and bfloat16.
    Cost: as `acosh1p`, and x - 1.
    """
    return acosh1p(widened(x) - 1).to(x.dtype)


def acos(x: Tensor) -> Tensor:
    """The arc cosine, with slope 0 at -1 and 1.

    Convention: the slope there is infinite; 0 is the limit of what the angle does to vectors, whose cosine has slope 0
    itself. For angles between vectors see `angle`, which loses no digits near 0.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 1, π at -1; nan outside [-1, 1] and at nan: a cosine that rounding took out is not put back.
    Gradient: -1 / √((1 - x)(1 + x)); 0 at -1 and 1.
    Error: 2 ulp; of the slope, 4 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `x` for backward.
    """
    return elementwise(torch.acos, (_acos_slope,), x)


def atanh(x: Tensor) -> Tensor:
    """The inverse hyperbolic tangent, silent at its poles where it is not used.

    The value at ±1 is infinite, and no convention mends that: keep the number of which x is the tanh (ray#14878), or
    see `log_tanh_derivative`.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: ±inf at ±1; nan outside [-1, 1] and at nan.
    Gradient: 1 / ((1 - x)(1 + x)), inf at ±1; an element that gets no gradient passes none on, where torch has nan.
    Error: 3 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `x` for backward.
    """
    return elementwise(torch.atanh, (_atanh_slope,), x, through=unless_unused)


def _arc(u: Tensor, v: Tensor, dim: Dims) -> Tensor:
    return 2 * torch.atan2(norm(u - v, dim), norm(u + v, dim))


def _acosh1p(u: Tensor) -> Tensor:
    # √(u/2), scaled by exact powers of two so that neither end of the range is lost
    root = torch.where(u < 1, torch.sqrt(2 * u) / 2, torch.sqrt(u / 2))
    return 2 * torch.asinh(root)


def _acosh1p_slope(u: Tensor) -> Tensor:
    safe = torch.where(u == 0, math.inf, u)
    return torch.rsqrt(safe) * torch.rsqrt(safe + 2)


def _acos_slope(x: Tensor) -> Tensor:
    room = (1 - x) * (1 + x)
    return -torch.rsqrt(torch.where(room == 0, math.inf, room))


def _atanh_slope(x: Tensor) -> Tensor:
    return 1 / ((1 - x) * (1 + x))
