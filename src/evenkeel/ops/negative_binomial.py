"""The log-likelihood of counts under negative binomials, from the logarithms of mean and inverse dispersion."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from evenkeel.ops.data import as_data
from evenkeel.ops.log_excess import log_quotient, scaled_log_excess
from evenkeel.ops.precision import widened
from evenkeel.ops.stirling import HALF_LOG_2PI, remainder, remainder_from_one, scaled_slope


def negative_binomial_log_prob(counts: Tensor, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """The log-probability of counts under negative binomials with mean exp(log_mean) and theta = exp(log_theta).

    The variance is mean + mean²/theta, so theta is the inverse dispersion (the number of failures); Poisson for
    theta -> inf. Differences of log Γ are taken by Stirling's formula and log(1 + z), never from two large numbers
    (scvi-tools#2965: 128 for 92.1 at theta = 1e8, and a gradient of 0), so no eps is needed anywhere.

    Shape: broadcast. Dtype: log_mean and log_theta any float, the wider one of the two; float16 and bfloat16 compute in
    float32. Counts of any dtype, whole or fractional, from 0 on; they are data, without a gradient.
    Edges: finite for every finite log_mean up to where exp overflows (88 in float32, 709 in float64; not finite beyond)
    and every finite log_theta. theta above e^60 (float64: e^600) counts as e^60, which is Poisson for all means and
    counts below 1e18; a mean below e^-60 (e^-600) leaves -e^-60 at a count of 0. Negative whole counts give nan or
    -inf; fractions between -1 and 0 are not noticed.
    Gradient: (counts - mean)·theta / (theta + mean) for log_mean. For log_theta, theta·(ψ(counts + theta) - ψ(theta) -
    log(1 + mean/theta)) - slope for log_mean, without the cancellation; it vanishes like 1/theta, as it should.
    Error: 8 ulp of the value (of 1 for counts between 0 and 1) and of what rounding the two parameters once may change
    it, (1 + |log_mean| + |log_theta|)·(|slope for log_mean| + |slope for log_theta|), together. Of the slope for
    log_mean: 4 ulp of the larger one of counts and mean, times theta / (theta + mean). Of the slope for log_theta: 8
    ulp of its largest term and of what rounding the mean once may change it.
    Cost: keeps the inputs and the two slopes (two tensors of the result's size) for backward; second derivatives
    compute the slopes again. No host sync.
    Source: saddle-point form after C. Loader, "Fast and accurate computation of binomial probabilities" (2000).
    """
    dtype = torch.promote_types(log_mean.dtype, log_theta.dtype)
    log_mean, log_theta = widened(log_mean.to(dtype)), widened(log_theta.to(dtype))
    x = as_data(counts, log_mean.dtype)
    if torch.is_grad_enabled() and (log_mean.requires_grad or log_theta.requires_grad):
        return _NegativeBinomial.apply(x, log_mean, log_theta)[0].to(dtype)  # type: ignore[no-any-return, no-untyped-call]
    return _value(x, _terms(x, log_mean, log_theta)).to(dtype)


class _NegativeBinomial(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, log_mean: Tensor, log_theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        terms = _terms(x, log_mean, log_theta)
        return _value(x, terms), terms.by_mean, _slope_by_log_theta(x, terms)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_unused: None) -> tuple[Tensor | None, ...]:
        x, log_mean, log_theta, by_mean, by_theta = ctx.saved_tensors
        if grad is None:
            return None, None, None
        if torch.is_grad_enabled():  # somebody differentiates twice, so the slopes need a graph
            terms = _terms(x, log_mean, log_theta)
            by_mean, by_theta = terms.by_mean, _slope_by_log_theta(x, terms)
        to_mean = (grad * by_mean).sum_to_size(log_mean.shape) if ctx.needs_input_grad[1] else None
        to_theta = (grad * by_theta).sum_to_size(log_theta.shape) if ctx.needs_input_grad[2] else None
        return None, to_mean, to_theta


class _Terms(NamedTuple):
    """What value and slopes share. Two that belong to theta alone may be smaller than the others."""

    theta: Tensor
    log_theta: Tensor
    log1p_by_theta: Tensor  # log(1 + 1/theta)
    mean: Tensor
    beyond: Tensor  # how far log_mean lies below what exp is taken of
    n: Tensor  # theta + x
    log1p_by_n: Tensor
    excess: Tensor  # n / (theta + mean) - 1
    ratio: Tensor  # n / (theta + mean)
    log_ratio: Tensor
    by_mean: Tensor  # the slope for log_mean: (x - mean)·theta / (theta + mean)


def _terms(x: Tensor, log_mean: Tensor, log_theta: Tensor) -> _Terms:
    far = 60.0 if x.dtype == torch.float32 else 600.0
    mean = log_mean.clamp(min=-far).exp_()
    theta = log_theta.clamp(-far, far).exp_()
    n = theta + x
    total = theta + mean
    excess = (x - mean) / total
    ratio = n / total
    return _Terms(
        theta=theta,
        log_theta=log_theta.clamp(max=far),
        log1p_by_theta=theta.reciprocal().log1p() + (-far - log_theta).clamp(min=0),
        mean=mean,
        beyond=(-far - log_mean).clamp(min=0),
        n=n,
        log1p_by_n=n.reciprocal().log1p(),
        excess=excess,
        ratio=ratio,
        log_ratio=log_quotient(ratio, excess),
        by_mean=excess * theta,
    )


def _value(x: Tensor, t: _Terms) -> Tensor:
    z = x + 1
    value = (t.n + 0.5).mul_(t.log1p_by_n).add_(remainder_from_one(t.n + 1)).sub_(remainder_from_one(z))
    value.sub_((t.n * z).log_(), alpha=0.5)
    value.add_(0.5 * t.log_theta - remainder(t.theta, t.log1p_by_theta) - HALF_LOG_2PI)
    value.mul_(torch.sign(x))
    log_share = log_quotient(t.mean / z * t.ratio, (t.by_mean + 1).div_(z).neg_()).sub_(t.beyond)
    return torch.addcmul(torch.addcmul(value, x, log_share), t.theta, t.log_ratio)


def _slope_by_log_theta(x: Tensor, t: _Terms) -> Tensor:
    of_counts = torch.addcmul(0.5 * x, scaled_slope(t.n, t.log1p_by_n), t.theta).div_(t.n)
    of_counts.sub_(scaled_slope(t.theta, t.log1p_by_theta)).mul_(torch.sign(x))
    return of_counts - scaled_log_excess(t.theta, t.excess, t.log_ratio)
