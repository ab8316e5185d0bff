"""Euclidean length and direction at any scale, with slope 0 where there is no direction."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from evenkeel.ops.precision import widened

Dims = int | tuple[int, ...]


def norm(x: Tensor, dim: Dims = -1, *, keepdim: bool = False) -> Tensor:
    """√Σx² over one dimension or several, without overflow or underflow of the squares.

    Rows are scaled by a power of two, which is exact, when their largest element is far from 1.

    Shape: (*, n, *) to (*, *), or to (*, 1, *) with keepdim. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for zeros and for no elements; the true value for rows of 1e30 or 1e-40, where `torch.linalg.vector_norm`
    has inf or 0; inf with an element of inf; nan with nan.
    Gradient: x / ‖x‖, of length 1 at every scale; 0 at 0; nan where the norm is inf.
    Error: 2 ulp; the rounding of the sum comes on top for long rows, as in torch.
    Cost: reads x once more than torch does; one tensor as large as x passes by; keeps x for backward.
    """
    result: Tensor = _Norm.apply(x, dim)  # type: ignore[no-untyped-call]
    return result if keepdim else result.squeeze(dim)


def normalise(x: Tensor, dim: Dims = -1) -> Tensor:
    """The direction x / ‖x‖, and 0 where x is 0.

    Convention: a zero vector has no direction, so it stays 0 and its slope is 0. `torch.nn.functional.normalize`
    multiplies its gradient by 1e12 there (pytorch#184575). Next to 0 the slope is the true one, 1/‖x‖: directions of
    very short vectors do turn fast. Where short vectors are noise, divide by √(‖x‖² + eps²) with eps on the scale of
    the data, which bounds the slope by 1/eps.

    Shape: that of x. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for a zero vector; a direction at every scale, subnormal ones included; nan with inf or nan.
    Gradient: (g - u·(u·g)) / ‖x‖ with u the result; 0 at 0.
    Error: 3 ulp of each component; the rounding of the sum comes on top for long rows.
    Cost: two tensors as large as x pass by; keeps x for backward, where it computes the norm again.
    """
    return _Normalise.apply(x, dim)  # type: ignore[no-any-return, no-untyped-call]


def cosine_similarity(x: Tensor, y: Tensor, dim: Dims = -1) -> Tensor:
    """The cosine of the angle between x and y, 0 where one of them is 0.

    May exceed 1 by its error: take `angle`, not acos of this, where the angle is wanted.

    Shape: broadcast, without `dim`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 with a zero vector, at every scale of the other one; nan with inf or nan.
    Gradient: that of the direction of each times the other direction; 0 for a zero vector and for its partner.
    Error: 4 ulp of 1 (absolute: near a right angle the products cancel); the rounding of long sums comes on top.
    Cost: four tensors as large as the broadcast ones; keeps x, y and their directions for backward.
    """
    dtype = torch.promote_types(x.dtype, y.dtype)
    return (normalise(widened(x), dim) * normalise(widened(y), dim)).sum(dim).to(dtype)


def distance(x: Tensor, y: Tensor, dim: Dims = -1) -> Tensor:
    """‖x - y‖, with slope 0 where x equals y.

    Shape: broadcast, without `dim`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for equal points; inf where the distance exceeds the dtype; nan with nan, and between equal infinities.
    Gradient: the unit vector from y to x, for y its opposite; 0 where they are equal.
    Error: 3 ulp; the rounding of the sum comes on top for long rows.
    Cost: one tensor as large as the broadcast ones, kept for backward.
    """
    dtype = torch.promote_types(x.dtype, y.dtype)
    return norm(widened(x) - widened(y), dim).to(dtype)


def pairwise_distances(x: Tensor, y: Tensor) -> Tensor:
    """The distance of every point of x to every point of y, from their differences.

    `torch.cdist` takes them from scalar products as soon as there are more than 25 points: close points far from the
    origin then lose all digits. With compute_mode="donot_use_mm_for_euclid_dist" it needs no memory for the
    differences, but it has no second derivative.

    Shape: (*, n, d) and (*, m, d) to (*, n, m). Dtype: any float; float16 and bfloat16 compute in float32.
    Edges, Gradient, Error: as `distance`; equal points, such as the diagonal of x with itself, have slope 0.
    Cost: keeps the (*, n, m, d) differences for backward.
    """
    return distance(x.unsqueeze(-2), y.unsqueeze(-3))


def _power_of_two(x: Tensor, dim: Dims) -> Tensor:
    """A scale for each row that brings its squares into the middle of the dtype's range; 1 for ordinary rows."""
    if x.numel() == 0:
        return torch.ones_like(x.sum(dim, keepdim=True))
    largest = x.abs().amax(dim, keepdim=True)
    eighth = math.frexp(torch.finfo(x.dtype).max)[1] / 8
    scale = torch.where(largest < 2.0 ** (-3 * eighth), 2.0 ** (6 * eighth), torch.ones_like(largest))
    return torch.where(largest > 2.0 ** (3 * eighth), 2.0 ** (-5 * eighth), scale)


class _Norm(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: Dims) -> Tensor:
        wide = widened(x)
        scale = _power_of_two(wide, dim)
        length: Tensor = torch.linalg.vector_norm(wide * scale, 2, dim, keepdim=True)
        return (length / scale).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.dim = inputs[1]
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return (widened(grad) * normalise(widened(x), ctx.dim)).to(grad.dtype), None


class _Normalise(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, dim: Dims) -> Tensor:
        wide = widened(x)
        scale = _power_of_two(wide, dim)
        # a large row is scaled down just enough to have a length, so that its small elements keep their digits
        gentle = torch.where(scale < 1, 2.0**-32, scale)
        length = torch.linalg.vector_norm(wide * scale, 2, dim, keepdim=True) * (gentle / scale)
        return (wide * gentle / torch.where(length == 0, 1.0, length)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _output: Tensor) -> None:
        ctx.dim = inputs[1]
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x = widened(ctx.saved_tensors[0])
        g = widened(grad)
        direction = normalise(x, ctx.dim)
        sideways = g - direction * (direction * g).sum(ctx.dim, keepdim=True)
        length = norm(x, ctx.dim, keepdim=True)
        return (sideways / torch.where(length == 0, math.inf, length)).to(grad.dtype), None
