"""Gene-wise offsets of the decoder's logits that give generated cells the mean profile they are meant to have."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel_recipes.virtual_cell.profiles import TARGET_SUM

ROUGH_ROUNDS, FINE_ROUNDS = 5, 2  # with some of the cells, to come near; with all
ROUGH_SHARE, LEAST_CELLS = 8, 250
LEAST_SHIFT, MOST_SHIFT = -3.0, 3.0  # of one round, in log units
HALF_A_COUNT = 0.5


@torch.no_grad()
def offsets(log_mean: Tensor, log_theta: Tensor, target: Tensor, seed: int) -> Tensor:
    """What has to be added to logits [genes] so that the mean of log1p counts per 10,000 becomes the target.

    Newton's method on the logarithm of the mean. Its slope is exact in expectation: counts are Poisson of a rate, so
    the derivative of E f(x) by the log of the mean is E rate (f(x + 1) - f(x)). Half a count is added to both sides,
    so that a gene of which neither has any stays where it is.

    Args:
        log_mean: [n, genes] of generated cells, with an offset of 0.
        log_theta: [1 or n, genes].
        target: [genes], mean of log1p counts per 10,000; what is below 0 cannot be reached and counts as 0.
        seed: of the counts drawn on the way.
    """
    some = max(LEAST_CELLS, len(log_mean) // ROUGH_SHARE)
    found = torch.zeros(log_mean.shape[1])
    for round_, number in enumerate([some] * ROUGH_ROUNDS + [len(log_mean)] * FINE_ROUNDS):
        generator = torch.Generator().manual_seed(seed + round_)
        found = found + _step(log_mean[:number], log_theta[:number], target, found, generator)
    return found - found.mean()


def _step(log_mean: Tensor, log_theta: Tensor, target: Tensor, offset: Tensor, generator: torch.Generator) -> Tensor:
    """One step of Newton's method, [genes]."""
    theta = log_theta.exp().expand_as(log_mean)
    log_library = log_mean.logsumexp(1, keepdim=True)
    luck = torch._standard_gamma(theta, generator=generator) / theta  # noqa: SLF001  torch.distributions uses it too
    rate = (log_library + torch.log_softmax(log_mean + offset, 1)).exp() * luck
    counts = torch.poisson(rate, generator=generator)
    scale = TARGET_SUM / counts.sum(1, keepdim=True).clamp(min=1)
    now = torch.log1p(counts * scale)
    least = HALF_A_COUNT / len(counts) * torch.log1p(scale).mean()
    slope = (rate * (torch.log1p((counts + 1) * scale) - now)).mean(0)
    mean = now.mean(0)
    step = ((target.clamp(min=0) + least).log() - (mean + least).log()) * (mean + least) / (slope + least)
    return step.clamp(LEAST_SHIFT, MOST_SHIFT)
