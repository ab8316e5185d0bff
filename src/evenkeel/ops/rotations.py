"""Rotation matrices of three dimensions: their angle, their logarithm, their quaternion."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.ops.elementwise import elementwise
from evenkeel.ops.norms import norm
from evenkeel.ops.precision import widened

# φ/(2 sin φ) = ½ + Σ cₙ·φ²ⁿ with cₙ = (1 - 2^(1-2n))·ζ(2n) / π²ⁿ; these are 2n·cₙ for n = 1, 2, …, its slope.
_SLOPE_SERIES = (
    1.6666666666666667e-1,
    3.8888888888888889e-2,
    6.1507936507936508e-3,
    8.3994708994708995e-4,
    1.0668022820800599e-4,
    1.2980084656671958e-5,
    1.5346289941197349e-6,
    1.7771144683136332e-7,
    2.0256907316011081e-8,
    2.2805107707218212e-9,
    2.5417063739096664e-10,
    2.8094044834718336e-11,
    3.0837321701279920e-12,
    3.3648181215932301e-13,
    3.6527930975736480e-14,
    3.9477900853891989e-15,
    4.2499443706127789e-16,
    4.5593935842004469e-17,
)


def rotation_log_factor(angle: Tensor) -> Tensor:
    """φ / (2·sin φ), which turns R - Rᵀ into the logarithm of R; ½ at 0.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: ½ at 0 (pytorch3d#189: nan); a pole at π, where R - Rᵀ vanishes and the axis is better taken from
    `quaternion_of_rotation`; nan at inf and nan.
    Gradient: (sin φ - φ·cos φ) / (2·sin²φ), by its series below 1, where the two terms cancel; 0 at 0.
    Error: 2 ulp; of the slope, 6 ulp in [0, 3].
    Cost: keeps `angle` for backward.
    """
    return elementwise(_log_factor, (_log_factor_slope,), angle)


def rotation_angle(rotation: Tensor) -> Tensor:
    """The angle by which a rotation matrix turns, in [0, π].

    atan2(‖axis part‖, trace part): the arc cosine of (trace - 1)/2 loses half the digits near 0 and π, is nan where
    rounding took the trace out of its range, and has an infinite slope at the identity.

    Shape: (*, 3, 3) to (*). Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for the identity; π for a half turn; nan with nan. The matrix is not checked to be a rotation.
    Gradient: along the axis; 0 at the identity and at half turns.
    Error: 4 ulp of 1 (absolute: the entries of R are rounded), and 4 ulp near 0 for exact skew parts.
    Cost: a few tensors of (*, 3).
    """
    r = widened(rotation)
    cosine = (r.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(norm(_axis(r)) / 2, cosine).to(rotation.dtype)


def quaternion_of_rotation(rotation: Tensor) -> Tensor:
    """The unit quaternion (w, x, y, z) of a rotation matrix, with its largest component positive.

    Of the four equivalent formulas the one with the largest radicand is taken, which is at least 1: no root of a
    rounded zero (kornia#1653), and no branch whose gradient has to be silenced.

    Shape: (*, 3, 3) to (*, 4). Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: (1, 0, 0, 0) for the identity; defined for half turns; nan with nan. The matrix is not checked to be a
    rotation. q and -q are the same rotation: the sign changes where another component becomes the largest.
    Gradient: finite for every rotation.
    Error: 4 ulp of 1 (absolute: the entries of R are rounded).
    Cost: a few tensors of (*, 4, 4).
    Source: S. W. Shepperd, "Quaternion from rotation matrix" (1978).
    """
    outer = _four_times_outer(widened(rotation))
    diagonal = outer.diagonal(dim1=-2, dim2=-1)
    square, largest = diagonal.max(-1, keepdim=True)
    row = outer.gather(-2, largest.unsqueeze(-1).expand(*largest.shape, 4)).squeeze(-2)
    return (row / (2 * torch.sqrt(square))).to(rotation.dtype)


def _axis(r: Tensor) -> Tensor:
    """2·sin φ times the axis."""
    return torch.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1)


def _four_times_outer(r: Tensor) -> Tensor:
    """4·q·qᵀ, every entry of which is a sum of entries of the matrix."""
    x, y, z = r.diagonal(dim1=-2, dim2=-1).unbind(-1)
    a, b, c = _axis(r).unbind(-1)
    xy, xz, yz = r[..., 0, 1] + r[..., 1, 0], r[..., 0, 2] + r[..., 2, 0], r[..., 1, 2] + r[..., 2, 1]
    rows = (
        (1 + x + y + z, a, b, c),
        (a, 1 + x - y - z, xy, xz),
        (b, xy, 1 - x + y - z, yz),
        (c, xz, yz, 1 - x - y + z),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _log_factor(angle: Tensor) -> Tensor:
    return torch.where(angle == 0, 0.5, angle / (2 * torch.sin(angle)))


def _log_factor_slope(angle: Tensor) -> Tensor:
    near = angle.abs() < 1
    small, large = torch.where(near, angle, 0.0), torch.where(near, 1.0, angle)
    square = small.square()
    series = torch.zeros_like(square)
    for coefficient in reversed(_SLOPE_SERIES):
        series = series * square + coefficient
    sine, cosine = torch.sin(large), torch.cos(large)
    return torch.where(near, small * series, (sine - large * cosine) / (2 * sine.square()))
