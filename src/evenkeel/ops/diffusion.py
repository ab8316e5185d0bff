"""Diffusion: schedules as tables in float64, and parametrisations that stay finite at both ends.

A sample at time t is x_t = signal·x0 + noise·e with signal² + noise² = 1 (variance preserving), or x = x0 + sigma·e
(EDM). Both ends exist: signal = 1 is clean data, signal = 0 is pure noise.
float16 and bfloat16 compute in float32, and answer in the dtype of the first sample given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.ops.logs import log1mexp
from evenkeel.ops.precision import widened


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """log ᾱ for each of T steps, in float64; all else follows from it without forming 1 - ᾱ."""

    log_alpha_bar: Tensor  # (T,), falling; -inf at the end when the last step leaves no signal

    @property
    def signal(self) -> Tensor:
        """√ᾱ, (T,). Error: 2 ulp of float64."""
        return torch.exp(0.5 * self.log_alpha_bar)

    @property
    def noise(self) -> Tensor:
        """√(1 - ᾱ), (T,), through expm1: exact for the first steps too. Error: 2 ulp of float64."""
        return (-torch.expm1(self.log_alpha_bar)).sqrt()

    @property
    def log_snr(self) -> Tensor:
        """log(ᾱ / (1 - ᾱ)), (T,), falling; -inf where no signal is left. Error: 3 ulp of the larger logarithm."""
        return self.log_alpha_bar - log1mexp(self.log_alpha_bar)

    def at(self, table: Tensor, t: Tensor, like: Tensor) -> Tensor:
        """Entries t (batch,) of a table, shaped to multiply `like` (batch, ...), rounded once to its dtype.

        No host sync when the table lies on the device of `like`.
        """
        return table[t].to(like.dtype).reshape(-1, *(1,) * (like.dim() - 1))

    def to(self, device: torch.device | str) -> NoiseSchedule:
        """The same on another device."""
        return NoiseSchedule(log_alpha_bar=self.log_alpha_bar.to(device))


class Preconditioning(NamedTuple):
    """x0 = c_skip·x + c_out·F(c_in·x, c_noise), with inputs and targets of F of unit variance at every sigma."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


def schedule_of_betas(betas: Tensor) -> NoiseSchedule:
    """The schedule of T variances that are added step by step: log ᾱ = Σ log(1 - beta), by log1p.

    Shape: (T,). Computes in float64. Cost: looks at the values, so it waits for the device.

    Raises:
        UsageError: a beta lies outside (0, 1]; 1 is allowed at the last step only, after which no signal is left.
    """
    betas = betas.to(torch.float64)
    inside = (betas > 0) & (betas < 1)
    inside[-1:] |= betas[-1:] == 1
    if betas.dim() != 1 or betas.numel() == 0 or not bool(inside.all()):
        raise UsageError("betas have to be one row of numbers in (0, 1); 1 is allowed for the last of them")
    return NoiseSchedule(log_alpha_bar=torch.cumsum(torch.log1p(-betas), 0))


def linear_schedule(num_steps: int, first: float = 1e-4, last: float = 0.02) -> NoiseSchedule:
    """Betas from `first` to `last` in equal steps.

    Source: J. Ho, A. Jain and P. Abbeel, "Denoising Diffusion Probabilistic Models" (2020), for 1000 steps.

    Raises:
        UsageError: as `schedule_of_betas`.
    """
    return schedule_of_betas(torch.linspace(first, last, num_steps, dtype=torch.float64))


def cosine_schedule(num_steps: int, offset: float = 0.008, largest_beta: float = 0.9999) -> NoiseSchedule:
    """ᾱ as a squared cosine of time, each beta at most `largest_beta`.

    The bound is part of the definition, not a repair: without it (largest_beta=1) the last step leaves no signal.
    Source: A. Nichol and P. Dhariwal, "Improved Denoising Diffusion Probabilistic Models" (2021), equation 17.

    Raises:
        UsageError: as `schedule_of_betas`.
    """
    time = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    angle = (time + offset) / (1 + offset) * (math.pi / 2)
    before, after = angle[:-1], angle[1:]
    # 1 - (cos b / cos a)² = sin(b - a)·sin(b + a) / cos² a: the first betas of a fine schedule would cancel
    betas = torch.sin(after - before) * torch.sin(after + before) / torch.cos(before).square()
    return schedule_of_betas(betas.clamp(max=largest_beta))


def karras_sigmas(num_steps: int, smallest: float = 0.002, largest: float = 80.0, rho: float = 7.0) -> Tensor:
    """Noise levels from `largest` down to `smallest`, (num_steps,), float64, and both ends exactly.

    Source: T. Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), equation 5.

    Raises:
        UsageError: fewer than two steps, or not 0 < smallest < largest.
    """
    if num_steps < 2 or not 0 < smallest < largest:  # noqa: PLR2004  # two ends
        raise UsageError(f"{num_steps} noise levels from {largest} to {smallest}: two at least, and both above 0")
    roots = torch.linspace(largest ** (1 / rho), smallest ** (1 / rho), num_steps, dtype=torch.float64)
    sigmas = roots.pow(rho)
    sigmas[0], sigmas[-1] = largest, smallest
    return sigmas


def edm_preconditioning(sigma: Tensor, sigma_data: float) -> Preconditioning:
    """The four coefficients for noise of standard deviation sigma and data of sigma_data.

    By hypot(sigma, sigma_data), so that no square overflows or underflows.

    Shape: that of sigma, any. Dtype: any float; float16 and bfloat16 compute in float32.
    Edges: at sigma = 0 c_skip = 1, c_out = 0, c_in = 1/sigma_data, and c_noise = -inf (it is ¼·log sigma): start above
    0. Finite for every sigma > 0 of the dtype.
    Error: 6 ulp.
    Cost: five small tensors. No host sync.
    Source: T. Karras et al. (2022), table 1.
    """
    wide = widened(sigma)
    total = torch.hypot(wide, torch.full_like(wide, sigma_data))
    share = sigma_data / total
    made = (share * share, sigma_data * (wide / total), 1 / total, 0.25 * torch.log(wide))
    return Preconditioning(*(c.to(sigma.dtype) for c in made))


def noised(x0: Tensor, epsilon: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """x_t = signal·x0 + noise·epsilon. Shape: broadcast. Error: 2 ulp of the larger product."""
    return _combined(signal, x0, noise, epsilon)


def velocity_of(x0: Tensor, epsilon: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The velocity signal·epsilon - noise·x0, the target of v-prediction.

    Shape: broadcast. Error: 2 ulp of the larger product.

    Source: T. Salimans and J. Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022), appendix D.
    """
    return _combined(signal, epsilon, -noise, x0)


def x0_of_velocity(x: Tensor, v: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The data in x: signal·x - noise·v. Finite at both ends: an error of v is multiplied by noise, at most 1."""
    return _combined(signal, x, -noise, v)


def epsilon_of_velocity(x: Tensor, v: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The noise in x: noise·x + signal·v. Finite at both ends: an error of v is multiplied by signal, at most 1."""
    return _combined(noise, x, signal, v)


def velocity_of_x0(x: Tensor, x0: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The velocity (signal·x - x0) / noise.

    Singular at clean data: an error of x0 is multiplied by 1/noise, and where noise is 0 the result is 0/0. Sample by
    `x0_of_velocity` from a model of v, or end above noise 0.
    """
    wide = (widened(signal) * widened(x) - widened(x0)) / widened(noise)
    return wide.to(x.dtype)


def velocity_of_epsilon(x: Tensor, epsilon: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The velocity (epsilon - noise·x) / signal.

    Singular at pure noise: an error of epsilon is multiplied by 1/signal, and where signal is 0 the result is 0/0:
    a schedule whose last step leaves no signal cannot be sampled from a model of epsilon.
    """
    wide = (widened(epsilon) - widened(noise) * widened(x)) / widened(signal)
    return wide.to(x.dtype)


def x0_of_epsilon(x: Tensor, epsilon: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
    """The data in x: (x - noise·epsilon) / signal; singular at pure noise, as `velocity_of_epsilon`.

    On the cosine schedule of 1000 steps an error of epsilon is multiplied by 71 at step 990, by 64,000 at the last.
    """
    wide = (widened(x) - widened(noise) * widened(epsilon)) / widened(signal)
    return wide.to(x.dtype)


def _combined(a: Tensor, x: Tensor, b: Tensor, y: Tensor) -> Tensor:
    """a·x + b·y in the dtype of x, rounded once for narrow dtypes."""
    return (widened(a) * widened(x) + widened(b) * widened(y)).to(x.dtype)
