"""Mixtures of a distribution of counts with a point mass at 0, from the logit of that mass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from evenkeel.ops.data import as_data
from evenkeel.ops.negative_binomial import negative_binomial_log_prob
from evenkeel.ops.precision import widened


def zero_inflated_log_prob(counts: Tensor, log_prob: Tensor, zero_logits: Tensor) -> Tensor:
    """The log-probability of counts that are 0 with probability sigmoid(zero_logits), and else have `log_prob`.

    Shape: broadcast. Dtype: the wider one of log_prob and zero_logits; float16 and bfloat16 compute in float32. Counts
    are data, without a gradient.
    Edges: log_prob - log(1 + exp(zero_logits)) for counts above 0. Finite for all finite parameters: neither a
    probability of the mass that rounds to 0 or 1, nor log_prob(0) of -1e4 leads to log 0. nan with nan, and where both
    log_prob and zero_logits are -inf.
    Gradient: for log_prob, the probability that the count is not from the point mass (1 above 0). For zero_logits,
    -sigmoid(zero_logits) above 0, and at 0 sigmoid(zero_logits - log_prob)·sigmoid(-zero_logits)·(1 - exp(log_prob)):
    no difference of two probabilities.
    Error: 8 ulp of the value and of what rounding the parameters once may change it, together. Of the slopes: 4 ulp,
    and half an ulp for each unit of the arguments of sigmoid.
    Cost: keeps counts, log_prob and zero_logits for backward. No host sync.
    """
    dtype = torch.promote_types(log_prob.dtype, zero_logits.dtype)
    a, logits = widened(log_prob.to(dtype)), widened(zero_logits.to(dtype))
    x, a, logits = torch.broadcast_tensors(as_data(counts, a.dtype), a, logits)  # type: ignore[no-untyped-call]
    return _ZeroInflated.apply(x, a, logits).to(dtype)  # type: ignore[no-any-return, no-untyped-call]


def zero_inflated_negative_binomial_log_prob(
    counts: Tensor, log_mean: Tensor, log_theta: Tensor, zero_logits: Tensor
) -> Tensor:
    """`zero_inflated_log_prob` of `negative_binomial_log_prob`; see there for both.

    float16 and bfloat16 are rounded once, at the end.
    """
    dtype = torch.promote_types(torch.promote_types(log_mean.dtype, log_theta.dtype), zero_logits.dtype)
    wide = [widened(t.to(dtype)) for t in (log_mean, log_theta, zero_logits)]
    return zero_inflated_log_prob(counts, negative_binomial_log_prob(counts, *wide[:2]), wide[2]).to(dtype)


class _ZeroInflated(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, a: Tensor, logits: Tensor) -> Tensor:
        some = torch.sign(x)
        log_other = logsigmoid(-logits)
        excess = torch.expm1(a) * log_other.exp()  # p(0) - 1
        near = (excess + 0.5).clamp(min=0).sign()
        far = torch.logaddexp(logits, a) + log_other
        of_zero = torch.lerp(far, excess.clamp(min=-0.5).log1p(), near)
        return torch.lerp(of_zero, log_other + a, some)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], _output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        x, a, logits = ctx.saved_tensors
        some = torch.sign(x)
        by_a = torch.lerp(torch.sigmoid(a - logits), torch.ones_like(a), some)
        of_zero = -torch.sigmoid(logits - a) * torch.sigmoid(-logits) * torch.expm1(a)
        by_logits = torch.lerp(of_zero, -torch.sigmoid(logits), some)
        return None, grad * by_a, grad * by_logits
