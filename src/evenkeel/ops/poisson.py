"""The log-likelihood of counts under Poisson distributions, from the logarithms of the rates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evenkeel.ops.data import as_data
from evenkeel.ops.precision import widened
from evenkeel.ops.stirling import fall_per_count


def poisson_log_prob(counts: Tensor, log_rate: Tensor) -> Tensor:
    """The log-probability of counts under Poisson distributions with rates exp(log_rate).

    The naive counts·log_rate - exp(log_rate) - log Γ(counts + 1) takes the difference of numbers as large as
    counts·log(counts): at 1e6 counts float32 has no correct digit left. Here nothing large is subtracted.

    Shape: broadcast. Dtype: log_rate any float; float16 and bfloat16 compute in float32. Counts of any dtype, whole or
    fractional, from 0 on; they are data, without a gradient.
    Edges: for a count of 0 exactly -exp(log_rate). Not finite (nan or -inf) where the rate overflows (log_rate above 88
    in float32, 709 in float64), at nan, and at log_rate = -inf. Negative whole counts give nan; fractions between -1
    and 0 are not noticed.
    Gradient: counts - rate; where the rate overflows it is -inf, and nan once 0 comes in: select before, not after.
    Error: 4 ulp of the value (of 1 for counts between 0 and 1) and of what rounding log_rate once may change it,
    (1 + |log_rate|)·|counts - rate|, together. Of the slope: 2 ulp of the larger one of counts and rate.
    Cost: keeps counts and rates for backward, as the naive form does. No host sync.
    Source: saddle-point form after C. Loader, "Fast and accurate computation of binomial probabilities" (2000).
    """
    wide = widened(log_rate)
    x, wide = torch.broadcast_tensors(as_data(counts, wide.dtype), wide)  # type: ignore[no-untyped-call]
    return _Poisson.apply(x, wide)[0].to(log_rate.dtype)  # type: ignore[no-any-return, no-untyped-call]


class _Poisson(torch.autograd.Function):
    """The rates are a result too, so that second derivatives see through them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, log_rate: Tensor) -> tuple[Tensor, Tensor]:
        # x·(u - expm1(u) + fall) - rate/z - ½·log z with z = x + 1 and u = log_rate - log z. At a count of 0 all terms
        # but the rate are exactly 0, so it needs no mask.
        by_z = (x + 1).reciprocal_()
        fall = fall_per_count(by_z)
        log_z = torch.log1p(x)
        value = log_rate - log_z
        value.sub_(torch.expm1(value)).add_(fall).mul_(x)
        rate = torch.exp(log_rate)
        # addcmul_ has no batching rule
        return torch.addcmul(value, by_z, rate, value=-1).sub_(log_z, alpha=0.5), rate

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[0], output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_rate: Tensor | None) -> tuple[None, Tensor | None]:
        x, rate = ctx.saved_tensors
        total = None if grad is None else grad * (x - rate)
        if grad_rate is not None:
            total = grad_rate * rate if total is None else total + grad_rate * rate
        return None, total
