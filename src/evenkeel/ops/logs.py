"""Logarithms of sums and differences of exponentials, without overflow, cancellation or a slope of nan."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel.ops.elementwise import elementwise, unless_unused

# -log 2: halfway between the regions where 1 - exp(x) and exp(x) is the small one.
_HALF = -math.log(2)
# sinh(8)² is far from overflow, and log 2 - 8 loses nothing.
_FAR = 8.0
# exp(-80) is a normal number, and so small that log(1 + exp(x)) is exp(x) to the last bit of float64.
_LINEAR = -80.0


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, accurate near 0 and far below it.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at -inf; -inf at 0; nan above 0 and at nan.
    Gradient: exp(x) / expm1(x): 0 at -inf, -inf at 0. An element that gets no gradient passes none on, at 0 neither.
    Error: 2 ulp; 1 ulp in float16 and bfloat16. Of the slope: 3 ulp.
    Cost: keeps `x` for backward.
    Source: M. Mächler, "Accurately computing log(1 - exp(-|a|))" (2012), which also explains the switch at -log 2.
    """
    return elementwise(_log1mexp, (_log1mexp_slope,), x, through=unless_unused)


def log1pexp(x: Tensor) -> Tensor:
    """log(1 + exp(x)), the exact softplus.

    `torch.nn.functional.softplus` becomes the identity above 20, which is half a million ulp off in float64.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at -inf; inf at inf; nan at nan. Subnormal results are kept.
    Gradient: the logistic function of x, never 0/0 and never above 1: ½ at 0, 0 at -inf, 1 at inf.
    Error: 2 ulp; 1 ulp in float16 and bfloat16. Of the slope: 3 ulp.
    Cost: keeps `x` for backward.
    """
    return elementwise(_log1pexp, (_share_of,), x)


def log_softplus(x: Tensor) -> Tensor:
    """log(log(1 + exp(x))): the logarithm of a rate that grows exponentially below 0 and linearly above.

    The link of a Poisson or negative binomial model whose rate is softplus(x), without the rate: log(softplus(x)) is
    -inf as soon as exp(x) underflows (x = -104 in float32), where the logarithm is just x, with slope 1.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: -inf at -inf; inf at inf; nan at nan.
    Gradient: exp(x) / ((1 + exp(x))·log(1 + exp(x))), between 0 and 1: 1 at -inf, 0 at inf, never 0/0.
    Error: 3 ulp of the larger one of |result| and 1 (it is 0 at x = log(e - 1)); 1 ulp in float16 and bfloat16. Of the
    slope: 4 ulp.
    Cost: keeps `x` for backward.
    """
    return elementwise(_log_softplus, (_log_softplus_slope,), x)


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)), with -inf as the neutral element that it should be.

    Shape: broadcast. Dtype: any float; the wider one of the two; float16 and bfloat16 compute in float32.
    Edges: -inf where both are -inf; the other one where one is -inf; inf where one is inf; nan at nan.
    Gradient: the shares of the two in the sum; 0 for both where both are -inf, where `torch.logaddexp` has nan
    (pytorch#49724); ½ each where both are inf.
    Error: 3 ulp of the larger one of |max(a, b)| and the result (the two parts cancel where both are near -log 2),
    times 1 + |a - b|/2, as the difference is rounded; 1 ulp in float16 and bfloat16. Of the slopes: 3 ulp, likewise.
    Cost: keeps `a` and `b` for backward.
    """
    return elementwise(_logaddexp, (_share, _other_share), a, b)


def logsubexp(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) - exp(b)) for a >= b.

    Shape: broadcast. Dtype: any float; the wider one of the two; float16 and bfloat16 compute in float32.
    Edges: -inf where a equals b, -inf included; `a` where b is -inf; nan for a < b, for both inf, and at nan.
    Gradient: 1 / (1 - exp(b - a)) for a, and its excess over 1, negated, for b. Infinite where a equals b and both are
    finite, as is true; 0 for both where both are -inf.
    Error: 3 ulp of the larger one of |a| and the result (the two parts cancel where exp(a) - exp(b) is near 1),
    times 1 + |a - b|/2, as the difference is rounded; 1 ulp in float16 and bfloat16.
    Cost: keeps `a` and `b` for backward.
    """
    return elementwise(_logsubexp, (_logsubexp_by_a, _logsubexp_by_b), a, b, through=unless_unused)


def log_tanh_derivative(u: Tensor) -> Tensor:
    """log(1 - tanh²u), the log-density that squashing by tanh adds, from u itself.

    From the squashed action alone it is lost as soon as tanh(u) rounds to 1: at u = 9 in float32, 4 in bfloat16
    (ray#14878). The usual 2·(log 2 - u - softplus(-2u)) is right far out, and loses all digits near 0.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 0 (and about -u² near it); -inf at ±inf; nan at nan.
    Gradient: -2·tanh(u), everywhere.
    Error: 4 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `u` for backward.
    """
    return elementwise(_log_tanh_derivative, (_log_tanh_derivative_slope,), u)


def _log1mexp(x: Tensor) -> Tensor:
    return torch.where(x > _HALF, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


def _log1mexp_slope(x: Tensor) -> Tensor:
    return torch.exp(x) / torch.expm1(_negative_zero(x))


def _negative_zero(x: Tensor) -> Tensor:
    """0 is reached from below, so what is divided by it has to know its sign."""
    return torch.where(x == 0, -0.0, x)


def _log1pexp(x: Tensor) -> Tensor:
    return torch.relu(x) + torch.log1p(torch.exp(-x.abs()))


def _share_of(x: Tensor) -> Tensor:
    """The logistic function, with a slope of its own: the formula below has a kink at 0."""
    return elementwise(_logistic, (_logistic_slope,), x)


def _logistic(x: Tensor) -> Tensor:
    # torch.sigmoid is 0 where exp(-x) overflows; this keeps the subnormal slopes
    return torch.exp(x.clamp(max=0)) / (1 + torch.exp(-x.abs()))


def _logistic_slope(x: Tensor) -> Tensor:
    small = torch.exp(-x.abs())
    return small / (1 + small).square()


def _log_softplus(x: Tensor) -> Tensor:
    small = torch.exp(x.clamp(_LINEAR, 0))
    return torch.where(x > 0, torch.log(_log1pexp(x)), x + torch.log(torch.log1p(small) / small))


def _log_softplus_slope(x: Tensor) -> Tensor:
    # each branch is given numbers of its own side, so that the slope of the branch not taken is no nan
    small, above = torch.exp(x.clamp(_LINEAR, 0)), x.clamp(min=0)
    return torch.where(x > 0, _logistic(above) / _log1pexp(above), small / torch.log1p(small) / (1 + small))


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """The difference a - b, and 0 between equal infinities."""
    top = torch.finfo(a.dtype).max
    return a.clamp(-top, top) - b.clamp(-top, top)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(a, b) + torch.log1p(torch.exp(-_difference(a, b).abs()))


def _share(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a == -math.inf, 0.0, _share_of(_difference(a, b)))


def _other_share(a: Tensor, b: Tensor) -> Tensor:
    return _share(b, a)


def _logsubexp(a: Tensor, b: Tensor) -> Tensor:
    return a + _log1mexp(_difference(b, a))


def _logsubexp_by_a(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a == -math.inf, 0.0, -1 / torch.expm1(_negative_zero(_difference(b, a))))


def _logsubexp_by_b(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a == -math.inf, 0.0, _log1mexp_slope(_difference(b, a)))


def _log_tanh_derivative(u: Tensor) -> Tensor:
    size = u.abs()
    near = -torch.log1p(torch.sinh(size).square())
    far = -2 * (size + _HALF + torch.log1p(torch.exp(-2 * size)))
    return torch.where(size < _FAR, near, far)


def _log_tanh_derivative_slope(u: Tensor) -> Tensor:
    return -2 * torch.tanh(u)
