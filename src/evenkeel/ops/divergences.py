"""Kullback-Leibler divergences and cross-entropies from logits and log-variances: never below 0, never log 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from evenkeel.ops.elementwise import elementwise, unless_unused
from evenkeel.ops.entropy import xlogx
from evenkeel.ops.log_excess import scaled_log_excess
from evenkeel.ops.precision import widened
from evenkeel.ops.softmax import log_softmax

# difference of logits beyond which nothing cancels in the difference of logarithms
_APART = 2.0


def categorical_kl(p_logits: Tensor, q_logits: Tensor, dim: int = -1) -> Tensor:
    """KL(softmax(p_logits) ‖ softmax(q_logits)) over one dimension, in nats.

    Summed as Σ p·(exp(y) - 1 - y) with y = log q - log p: every term is at least 0, so nothing cancels between
    distributions that are nearly the same, where Σ p·(log p - log q) is rounding error, often below 0.

    Shape: (*, n, *) to (*, *), broadcast. Dtype: any float, the wider one of the two; float16 and bfloat16 compute in
    float32.
    Edges: -inf is an outcome that cannot happen: it counts for nothing under p, under both too; inf where it can happen
    under p only. 0 where nothing can happen under p. nan where a logit is inf or nan.
    Gradient: q - p for q_logits, p·(log p - log q - KL) for p_logits; 0 for outcomes that cannot happen under p, and
    for rows that get no gradient, where KL is inf too.
    Error: 8 ulp, plus what rounding the logarithms once may change it: with L = |log p| + |log q| and ε the gap between
    1 and the next number, Σ max(p, q)·(|y| + ε·L)·L ulp. Distributions that agree in all digits but the last come out
    as some ε² instead of less.
    Cost: twelve tensors of the result's size before the sum. No host sync.
    """
    dtype = torch.promote_types(p_logits.dtype, q_logits.dtype)
    log_p = log_softmax(widened(p_logits.to(dtype)), None, dim)
    log_q = log_softmax(widened(q_logits.to(dtype)), None, dim)
    terms = elementwise(_kl_term, (_kl_term_by_log_p, _kl_term_by_log_q), log_p, log_q, through=unless_unused)
    return terms.sum(dim).to(dtype)


def categorical_cross_entropy(p_logits: Tensor, q_logits: Tensor, dim: int = -1) -> Tensor:
    """-Σ softmax(p_logits)·log_softmax(q_logits) over one dimension, in nats.

    Shape, Dtype, Edges: as `categorical_kl`.
    Gradient: q - p for q_logits; p·(-log q - cross-entropy) for p_logits; 0 for outcomes that cannot happen under p.
    Error: 8 ulp; the rounding of the sum comes on top for long rows.
    Cost: six tensors of the result's size before the sum. No host sync.
    """
    dtype = torch.promote_types(p_logits.dtype, q_logits.dtype)
    log_p = log_softmax(widened(p_logits.to(dtype)), None, dim)
    log_q = log_softmax(widened(q_logits.to(dtype)), None, dim)
    possible = log_p > -math.inf
    return -(torch.exp(log_p) * torch.where(possible, log_q, 0.0)).sum(dim).to(dtype)


def kl_of_target(target: Tensor, q_logits: Tensor, dim: int = -1) -> Tensor:
    """KL(target ‖ softmax(q_logits)) over one dimension, in nats, for targets given as probabilities.

    Shape: (*, n, *) to (*, *), broadcast. Dtype: any float, the wider one of the two; float16 and bfloat16 compute in
    float32. Targets are not normalised and get the gradient of `xlogx`.
    Edges: 0·log 0 = 0: an outcome with target 0 counts for nothing, whatever its logit. inf where a logit is -inf under
    a target above 0. nan where a target is below 0.
    Gradient: Σ target·q - target for q_logits, bounded by the targets: it does not fade however wrong the logits are.
    Error: 8 ulp of Σ |target·log target| + Σ |target·log q|.
    Cost: four tensors of the result's size before the sum. No host sync.
    """
    dtype = torch.promote_types(target.dtype, q_logits.dtype)
    weight = widened(target.to(dtype))
    log_q = log_softmax(widened(q_logits.to(dtype)), None, dim)
    weighted = weight * torch.where(weight == 0, 0.0, log_q)
    return (xlogx(weight) - weighted).sum(dim).to(dtype)


def bernoulli_kl(p_logit: Tensor, q_logit: Tensor) -> Tensor:
    """KL between Bernoulli distributions with these logits, in nats, elementwise.

    Shape: broadcast. Dtype: any float, the wider one of the two; float16 and bfloat16 compute in float32.
    Edges: 0 for equal logits, never below 0; finite for all finite logits, where probabilities of 0 and 1 would give
    log 0. nan with inf or nan.
    Gradient: sigmoid(q_logit) - sigmoid(p_logit) for q_logit and p·(1 - p)·(p_logit - q_logit) for p_logit, both to
    relative accuracy.
    Error: 8 ulp for small logits, 4 more for each unit of |p_logit| + |q_logit|; the same for the slope of q_logit.
    Cost: keeps the logits for backward. No host sync.
    """
    return elementwise(_bernoulli_kl, (_bernoulli_by_p, _bernoulli_by_q), p_logit, q_logit)


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, 1)) in nats, elementwise: ½·(mean² + exp(log_var) - 1 - log_var).

    Shape: broadcast. Dtype: any float, the wider one of the two; float16 and bfloat16 compute in float32.
    Edges: 0 at mean = log_var = 0, never below 0; inf where mean² or exp(log_var) overflows (a log_var above 88 in
    float32): bound log_var in the model (`bounded_log_var`). nan at nan.
    Gradient: mean, and ½·(exp(log_var) - 1) through expm1.
    Error: 8 ulp, for nearly standard Gaussians too, where the naive form has no correct digit.
    Cost: keeps mean and log_var for backward. No host sync.
    Source: D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes" (2014), appendix B.
    """
    return elementwise(_gaussian_kl, (_gaussian_by_mean, _gaussian_by_log_var), mean, log_var, through=unless_unused)


def _kl_term(log_p: Tensor, log_q: Tensor) -> Tensor:
    p, y = _weight_and_difference(log_p, log_q)
    rare = y > _APART  # exp(y) may overflow where p underflows, and q - p·(1 + y) does not cancel
    close = torch.where(rare | (y == -math.inf), 0.0, y)
    term = torch.where(rare, torch.exp(log_q) - p * (1 + y), scaled_log_excess(p, torch.expm1(close), close))
    return torch.where((y == -math.inf), math.inf, term)


def _kl_term_by_log_p(log_p: Tensor, log_q: Tensor) -> Tensor:
    p, y = _weight_and_difference(log_p, log_q)
    return -p * y


def _kl_term_by_log_q(log_p: Tensor, log_q: Tensor) -> Tensor:
    p, y = _weight_and_difference(log_p, log_q)
    rare = y > _APART
    return torch.where(rare, torch.exp(log_q) - p, p * torch.expm1(torch.where(rare, 0.0, y)))


def _weight_and_difference(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """p, and log q - log p, which is 0 where p is exactly 0."""
    impossible = log_p == -math.inf
    return torch.exp(log_p), torch.where(impossible, 0.0, log_q - torch.where(impossible, 0.0, log_p))


def _bernoulli_kl(a: Tensor, b: Tensor) -> Tensor:
    p, not_p = torch.sigmoid(a), torch.sigmoid(-a)
    apart = (b - a).abs() > _APART
    d = torch.where(apart, 0.0, b - a)
    y, not_y = -torch.log1p(not_p * torch.expm1(-d)), -torch.log1p(p * torch.expm1(d))
    close = scaled_log_excess(p, torch.expm1(y), y) + scaled_log_excess(not_p, torch.expm1(not_y), not_y)
    far = p * (logsigmoid(a) - logsigmoid(b)) + not_p * (logsigmoid(-a) - logsigmoid(-b))
    return torch.where(apart, far, close)


def _bernoulli_by_p(a: Tensor, b: Tensor) -> Tensor:
    return torch.sigmoid(a) * torch.sigmoid(-a) * (a - b)


def _bernoulli_by_q(a: Tensor, b: Tensor) -> Tensor:
    """sigmoid(b) - sigmoid(a) as a product."""
    down = torch.sigmoid(b) * torch.sigmoid(-a) * torch.expm1(-(b - a).clamp(min=0))
    up = torch.sigmoid(-b) * torch.sigmoid(a) * torch.expm1((b - a).clamp(max=0))
    return up - down


def _gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    far = log_var.abs() > _APART
    close = torch.where(far, 0.0, log_var)
    excess = torch.where(far, torch.exp(log_var) - 1 - log_var, scaled_log_excess(1.0, torch.expm1(close), close))
    return 0.5 * (mean * mean + excess)


def _gaussian_by_mean(mean: Tensor, _log_var: Tensor) -> Tensor:
    return mean


def _gaussian_by_log_var(_mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * torch.expm1(log_var)
