"""p·log p and what is made of it, with values and gradients for outcomes that cannot happen."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.ops.elementwise import elementwise, unless_unused
from evenkeel.ops.precision import widened
from evenkeel.ops.softmax import log_softmax


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    """x·log y, and 0 where x is 0.

    Convention: what has no weight has no say. Where x is 0, the value is 0 whatever y is (nan excepted), the gradient
    for y is 0, and the gradient for x is 0 as well where log y is no number to go by (y <= 0). So xlogy(p, p) has slope
    0 at 0, although the one-sided limit is -inf: behind a softmax, sigmoid or exp the slope of p is 0 there, and 0 is
    the limit of the product, where `torch.xlogy(p, p)` gives nan and `torch.special.entr` inf.

    Shape: broadcast. Dtype: any float; the wider one of the two; float16 and bfloat16 compute in float32.
    Edges: -inf where y is 0 and x > 0; nan where y < 0 and x is not 0, where inf meets log 1, and at nan.
    Gradient: log y for x, x / y for y, and the convention above.
    Error: 2 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `x` and `y` for backward.
    """
    return elementwise(_xlogy, (_by_weight, _by_argument), x, y, through=unless_unused)


def xlogx(p: Tensor) -> Tensor:
    """p·log p, and 0 at 0.

    Convention: slope 0 at 0, as of `xlogy(p, p)`. A probability that is itself the parameter does therefore not leave 0
    by this slope; parametrise by logits.

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 at 0 and 1; inf at inf; nan below 0 and at nan.
    Gradient: 1 + log p; 0 at 0.
    Error: 2 ulp; 1 ulp in float16 and bfloat16.
    Cost: keeps `p` for backward.
    """
    return elementwise(_xlogx, (_xlogx_slope,), p)


def entropy(p: Tensor, dim: int = -1) -> Tensor:
    """-Σ p·log p over one dimension, in nats, of probabilities.

    Where logits are at hand, `entropy_of_logits` is better: it need not round them to probabilities first.

    Shape: (*, n, *) to (*, *). Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: 0 for a certain outcome and for no outcomes at all; nan where a p is below 0 or nan. p is not normalised.
    Gradient: -(1 + log p); 0 where p is 0 (see `xlogx`).
    Error: 4 ulp for probabilities, whose terms all have one sign; the rounding of the sum comes on top for long rows.
    Cost: one tensor as large as `p`; keeps `p` for backward.
    """
    return -xlogx(widened(p)).sum(dim).to(p.dtype)


def entropy_of_logits(x: Tensor, mask: Tensor | None = None, dim: int = -1) -> Tensor:
    """The entropy of softmax(x) over one dimension, in nats, from the logits.

    Shape: (*, n, *) to (*, *); `mask` broadcasts to x. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: outcomes with a mask of False or a logit of -inf cannot happen and count for nothing (ray#10165); where none
    can happen, 0. nan where a logit that counts is inf or nan.
    Gradient: -p·(log p + H), finite for all finite logits; 0 for outcomes that cannot happen.
    Error: 4 ulp, times 1 + d/2 with d the largest difference of logits: the differences are rounded.
    Cost: three tensors as large as `x` for backward, as for the naive form.
    """
    log_p = log_softmax(widened(x), mask, dim)
    # any number does beside a probability of 0, so long as it is one
    return -(torch.exp(log_p) * log_p.clamp(min=torch.finfo(log_p.dtype).min)).sum(dim).to(x.dtype)


def _xlogy(x: Tensor, y: Tensor) -> Tensor:
    return torch.where((x == 0) & ~y.isnan(), 0.0, x * torch.log(y))


def _by_weight(x: Tensor, y: Tensor) -> Tensor:
    return _log_unless((x == 0) & (y <= 0), y)


def _by_argument(x: Tensor, y: Tensor) -> Tensor:
    nothing = (x == 0) & ~y.isnan()
    return torch.where(nothing, 0.0, x / torch.where(nothing, 1.0, y))


def _xlogx(p: Tensor) -> Tensor:
    return torch.where(p == 0, 0.0, p * torch.log(p))


def _xlogx_slope(p: Tensor) -> Tensor:
    return torch.sign(p) + _log_unless(p == 0, p)


def _log_unless(nothing: Tensor, y: Tensor) -> Tensor:
    """The logarithm, and 0 where there is nothing to take it of; silent there in further derivatives."""
    return torch.log(torch.where(nothing, 1.0, y))
