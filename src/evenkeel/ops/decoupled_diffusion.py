"""Decoupled diffusion: data fade along a straight line while noise grows like √t, and both are predicted.

A sample at time t in [0, 1] is x_t = x0 + t·c + √t·e with the fading c = -x0, so (1 - t)·x0 + √t·e: data at 0, pure
noise at 1. Whoever has x_t and only one of x0 and e divides by √t or 1 - t for the other one. Nothing here does:
a network answers F of unit variance, and c, e and x0 follow from x_t and F with coefficients of at most their own size.

float16 and bfloat16 compute in float32. t has to be shaped to broadcast, (batch, 1, 1, 1) for images.
Source: Y. Huang et al., "Decoupled Diffusion Models: Simultaneous Image to Zero and Zero to Noise" (2023), with a
constant fading; the coefficients are those of T. Karras et al. (2022) for this process.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from evenkeel.ops.precision import widened


class DecoupledPreconditioning(NamedTuple):
    """c = c_skip_fading·x + c_out_fading·F(c_in·x), and e = c_skip_noise·x + c_out_noise·F(c_in·x).

    Inputs and targets of F have unit variance at every t. Both F may be one and the same output, as both have the same
    target (`decoupled_target`); from two outputs, c and e explain x_t exactly where the two agree.
    """

    c_skip_fading: Tensor
    c_out_fading: Tensor
    c_skip_noise: Tensor
    c_out_noise: Tensor
    c_in: Tensor


def decoupled_noised(x0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 - t)·x0 + √t·epsilon, in the dtype of x0.

    Shape: broadcast. Edges: x0 at t = 0, epsilon at t = 1; nan below 0. Error: 2 ulp of the larger product.
    """
    wide = widened(t)
    return ((1 - wide) * widened(x0) + wide.sqrt() * widened(epsilon)).to(x0.dtype)


def decoupled_preconditioning(t: Tensor, sigma_data: float) -> DecoupledPreconditioning:
    """The five coefficients for data of standard deviation sigma_data, in the dtype of t.

    With s = sigma_data and d = (1 - t)²·s² + t they are -(1 - t)·s²/d, s·√(t/d), √t/d, (1 - t)·s/√d and 1/√d, made of
    hypot((1 - t)·s, √t) without a square. The sign of the first one matters: with +(1 - t) and t/√(t² + 1) in the
    places of the first two, as published code has them, the target of F has a standard deviation of 2e4 at t = 1e-4.

    Shape: that of t, any. Dtype: any float.
    Edges: finite on all of [0, 1]; -1, 0, 0, 1, 1/s at t = 0, where c is -x, and 0, s, 1, 0, 1 at t = 1, where e is x.
    nan below 0; beyond 1 it has no meaning, and is not noticed.
    Error: 8 ulp.
    Gradient: to t, infinite at 0, as √t is.
    Cost: some ten small tensors. No host sync.
    """
    signal, noise, total = _shares(t, sigma_data)
    made = (-signal * (sigma_data / total), sigma_data * noise, noise / total, signal, 1 / total)
    return DecoupledPreconditioning(*(c.to(t.dtype) for c in made))


def decoupled_target(x0: Tensor, epsilon: Tensor, t: Tensor, sigma_data: float) -> Tensor:
    """What F should answer: ((1 - t)·s·epsilon - √t·x0/s)/√d, of unit variance, in the dtype of x0.

    It is the velocity of x0/s and epsilon, see `velocity_of`. A mean squared error of F weighs every t alike.

    Shape: broadcast. Edges: epsilon at t = 0, -x0/s at t = 1. Error: 8 ulp of the larger product.
    """
    signal, noise, _ = _shares(t, sigma_data)
    return (signal * widened(epsilon) - noise * (widened(x0) / sigma_data)).to(x0.dtype)


def x0_of_decoupled(x: Tensor, fading: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """The data in x: x - t·fading - √t·epsilon, in the dtype of x.

    Finite at both ends: errors of the two predictions are multiplied by t and √t, at most 1. Shape: broadcast.
    Error: 3 ulp of the largest term.
    """
    wide = widened(t)
    return (widened(x) - wide * widened(fading) - wide.sqrt() * widened(epsilon)).to(x.dtype)


def decoupled_velocity(fading: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """dx/dt = fading + epsilon/(2·√t) along the way without randomness, in the dtype of fading.

    Infinite at t = 0 (0/0 for an epsilon of 0): end above it, or walk in √t with `decoupled_velocity_by_root`.
    Shape: broadcast. Error: 2 ulp of the larger term.
    """
    return (widened(fading) + widened(epsilon) / (2 * widened(t).sqrt())).to(fading.dtype)


def decoupled_velocity_by_root(fading: Tensor, epsilon: Tensor, root: Tensor) -> Tensor:
    """dx/d√t = 2·root·fading + epsilon with root = √t, in the dtype of fading: finite at both ends.

    Shape: broadcast. Error: 2 ulp of the larger term.
    """
    return (2 * widened(root) * widened(fading) + widened(epsilon)).to(fading.dtype)


def _shares(t: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    """(1 - t)·s/√d and √t/√d, whose squares add up to 1, and √d."""
    wide = widened(t)
    signal, noise = (1 - wide) * sigma_data, wide.sqrt()
    total = torch.hypot(signal, noise)
    return signal / total, noise / total, total
