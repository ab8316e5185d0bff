"""Quotients, means and spreads that say what they are when there is nothing to divide by."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from evenkeel.ops.elementwise import elementwise, unless_unused
from evenkeel.ops.norms import Dims, norm
from evenkeel.ops.precision import widened


class Counted(NamedTuple):
    """A number and how many elements it was made of."""

    value: Tensor
    population: Tensor  # int64


def divide(a: Tensor, b: Tensor, at_zero: float = 0.0) -> Tensor:
    """The quotient a / b, and `at_zero` with slope 0 for both where b is 0.

    Say with `at_zero` what the quotient means when there is nothing to divide by: 1 for the overlap of two empty sets,
    0 for the share of nothing in nothing. It stands wherever b is 0, also where a is not.

    Shape: broadcast. Dtype: any float; the wider one of the two; float16 and bfloat16 compute in float32.
    Edges: as IEEE division, except where b is 0; nan with nan, there too.
    Gradient: 1 / b for a and -a / b² for b, without forming b²; 0 where b is 0, in second derivatives too.
    Error: 1 ulp.
    Cost: keeps `a` and `b` for backward.
    """

    def quotient(a: Tensor, b: Tensor) -> Tensor:
        return torch.where((b == 0) & ~a.isnan(), at_zero, a / b)

    return elementwise(quotient, (_by_numerator, _by_denominator), a, b, through=unless_unused)


def masked_mean(x: Tensor, mask: Tensor, dim: Dims | None = None, *, keepdim: bool = False) -> Counted:
    """The mean of the elements with a mask of True, and how many there were: 0 of 0 where there were none.

    Shape: (*, n, *) to (*, *), or to (*, 1, *) with keepdim; all of x for dim=None. `mask` is boolean and broadcasts to
    x. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for an empty population, which the second result tells from a mean that is 0. Values under a mask of False
    are not looked at: nan may stand there. inf where the sum overflows.
    Gradient: 1 / population for each that counted; 0 for the others.
    Error: 2 ulp of the mean of |x|; the rounding of the sum comes on top for long rows.
    Cost: one tensor as large as x passes by; keeps the mask for backward.
    """
    dims = _all_or(x, dim)
    kept = torch.where(mask, widened(x), 0.0)
    population = mask.expand_as(x).sum(dims, keepdim=keepdim)
    return Counted((kept.sum(dims, keepdim=keepdim) / population.clamp(min=1)).to(x.dtype), population)


def masked_var(
    x: Tensor, mask: Tensor, dim: Dims | None = None, *, correction: float = 1, keepdim: bool = False
) -> Counted:
    """The variance of the elements with a mask of True, and how many there were.

    Two passes over differences from one of the elements, so that a large common offset does not matter.

    Shape: as `masked_mean`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 where the population does not exceed `correction` (one element, or none), where `torch.var` has nan;
    exactly 0 for a constant. Values under a mask of False are not looked at.
    Gradient: 2·(x - mean) / (population - correction); 0 where the value is 0.
    Error: 8 ulp; the rounding of the sums comes on top for long rows.
    Cost: four tensors as large as x pass by, two of them kept for backward.
    """
    spread = masked_std(widened(x), mask, dim, correction=correction, keepdim=keepdim)
    return Counted(spread.value.square().to(x.dtype), spread.population)


def masked_std(
    x: Tensor, mask: Tensor, dim: Dims | None = None, *, correction: float = 1, keepdim: bool = False
) -> Counted:
    """The standard deviation of the elements with a mask of True, and how many there were.

    Shape: as `masked_mean`. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 where the population does not exceed `correction` (one element, or none), where `torch.std` has nan;
    exactly 0 for a constant. Neither overflow nor underflow of squares. Values under a mask of False are not looked at.
    Gradient: (x - mean) / (std·(population - correction)); 0 where the value is 0, and in second derivatives too.
    Error: 4 ulp; the rounding of the sums comes on top for long rows.
    Cost: four tensors as large as x pass by, two of them kept for backward.
    """
    dims = _all_or(x, dim)
    mask = mask.expand_as(x)
    population = mask.sum(dims, keepdim=True)
    freedom = population - correction
    deviations = _centred(widened(x), mask, population.clamp(min=1), dims)
    root = torch.where(freedom > 0, freedom, 1).to(deviations.dtype).sqrt()
    value = torch.where(freedom > 0, norm(deviations, dims, keepdim=True) / root, 0.0).to(x.dtype)
    return Counted(value, population) if keepdim else Counted(value.squeeze(dims), population.squeeze(dims))


def std(x: Tensor, dim: Dims | None = None, *, correction: float = 1, keepdim: bool = False) -> Tensor:
    """The standard deviation, defined for one element too.

    Shape: (*, n, *) to (*, *), or to (*, 1, *) with keepdim; all of x for dim=None.
    Dtype, Edges, Gradient, Error: as `masked_std` with nothing masked. nan with inf or nan.
    Cost: three tensors as large as x pass by, one of them kept for backward.
    """
    dims = _all_or(x, dim)
    wide = widened(x)
    shifted = wide - wide.detach().amin(dims, keepdim=True)
    spread = norm(shifted - shifted.mean(dims, keepdim=True), dims, keepdim=keepdim)
    freedom = math.prod([x.shape[d] for d in dims]) - correction
    return (spread / math.sqrt(freedom) if freedom > 0 else spread * 0).to(x.dtype)


def _all_or(x: Tensor, dim: Dims | None) -> tuple[int, ...]:
    if dim is None:
        return tuple(range(x.dim()))
    return dim if isinstance(dim, tuple) else (dim,)


def _centred(x: Tensor, mask: Tensor, count: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The deviations x - mean, 0 where masked. Exactly 0 for constants, whose rounded mean may miss them."""
    anchor = torch.where(mask, x.detach(), math.inf).amin(dims, keepdim=True)
    shifted = torch.where(mask, x - anchor, 0.0)
    mean = shifted.sum(dims, keepdim=True) / count
    return torch.where(mask, shifted - mean, 0.0)


def _by_numerator(_a: Tensor, b: Tensor) -> Tensor:
    return 1 / torch.where(b == 0, math.inf, b)


def _by_denominator(a: Tensor, b: Tensor) -> Tensor:
    safe = torch.where(b == 0, math.inf, b)
    return -(torch.where(b == 0, 0.0, a) / safe) / safe
