"""The log-likelihood under Gaussians with a log-variance, and a bound for the log-variance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from evenkeel.ops.precision import widened
from evenkeel.ops.stirling import HALF_LOG_2PI


def gaussian_log_prob(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """The log-density of x under Gaussians with these means and log-variances, elementwise.

    The standardised difference is formed before it is squared, so that neither a variance of e^-100 nor one of e^200
    leads to inf·0. A model that predicts log_var and exact data is free to send log_var to -inf: there the likelihood
    itself has no bound. Bound log_var in the model (`bounded_log_var`) where that can happen.

    Shape: broadcast. Dtype: any float, the widest of the three; float16 and bfloat16 compute in float32.
    Edges: not finite where ((x - mean)/std)² or 1/std overflow, at inf and nan.
    Gradient: (x - mean) / variance for mean, its opposite for x, ½·(((x - mean)/std)² - 1) for log_var.
    Error: 4 ulp of the larger one of |value| and 1, and of ((x - mean)/std)²·(1 + |log_var|), which rounding log_var
    once may change it by, together.
    Cost: keeps (x - mean)/std and 1/std for backward, less than the naive form. No host sync.
    """
    dtype = torch.promote_types(torch.promote_types(x.dtype, mean.dtype), log_var.dtype)
    return _Gaussian.apply(*(widened(t.to(dtype)) for t in (x, mean, log_var)))[0].to(dtype)  # type: ignore[no-any-return, no-untyped-call]


def bounded_log_var(raw: Tensor, bound: float) -> Tensor:
    """bound·tanh(raw / bound): a log-variance that stays within ±bound, smoothly.

    A choice of the model, not a repair: it is the identity near 0 and its slope vanishes only gradually, where that of
    a clamp is 0 at once and nothing that went beyond comes back. With a bound of 6 the variance stays in
    [0.0025, 403].

    Shape: any, elementwise. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: ±bound at ±inf; nan at nan.
    Gradient: 1 - tanh(raw / bound)², 1 at 0, as small as 4·exp(-2·|raw|/bound) far out.
    Error: 3 ulp.
    Cost: as of tanh.
    """
    return (bound * torch.tanh(widened(raw) / bound)).to(raw.dtype)


class _Gaussian(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, mean: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        standardised, by_std = _standardised(x, mean, log_var)
        value = (standardised * standardised).add_(log_var).mul_(-0.5).sub_(HALF_LOG_2PI)
        return value, standardised, by_std

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*inputs, *output[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_unused: None) -> tuple[Tensor | None, ...]:
        x, mean, log_var, standardised, by_std = ctx.saved_tensors
        if grad is None:
            return None, None, None
        if torch.is_grad_enabled():  # somebody differentiates twice, so the slopes need a graph
            standardised, by_std = _standardised(x, mean, log_var)
        to_x, to_mean, to_log_var = ctx.needs_input_grad
        pull = grad * standardised * by_std if to_x or to_mean else grad
        return (
            -pull.sum_to_size(x.shape) if to_x else None,
            pull.sum_to_size(mean.shape) if to_mean else None,
            (grad * (0.5 * standardised * standardised - 0.5)).sum_to_size(log_var.shape) if to_log_var else None,
        )


def _standardised(x: Tensor, mean: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
    by_std = torch.exp(-0.5 * log_var)
    return (x - mean) * by_std, by_std
