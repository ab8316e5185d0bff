"""What gives generated cells the mean profile they are meant to have: offsets of logits, and a common dispersion."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from evenkeel_recipes.virtual_cell.means.profiles import TARGET_SUM

ROUGH_ROUNDS, FINE_ROUNDS = 8, 3  # with some of the cells, to come near; with all
ROUGH_SHARE, LEAST_CELLS = 8, 250
MOST_SHIFT = 3.0  # of one round, in log units
MOST_DISPERSION = 1.0  # log units by which theta may move; beyond that it is not the dispersion that is wrong
HALF_A_COUNT = 0.5


class Moves(NamedTuple):
    """What is added to logits [genes], if anything, and to log theta."""

    logits: Tensor | None
    log_theta: float


UNMOVED = Moves(None, 0.0)


@torch.no_grad()
def moves_to(target: Tensor, log_mean: Tensor, log_theta: Tensor, seed: int) -> Moves:
    """What brings the mean of log1p counts per 10,000 to the target.

    Offsets: Newton's method on the logarithm of the mean. Its slope is exact in expectation: counts are Poisson of a
    rate, so the derivative of E f(x) by the log of the mean is E rate (f(x + 1) - f(x)). Half a count is added to both
    sides, so that a gene of which neither has any stays where it is. Of the last rounds the mean is taken, since each
    draws its own counts.

    Dispersion: shares of genes add up to 1, so offsets cannot move all genes one way. If cells that are drawn around
    the right shares vary more than real ones, their log1p counts are all a little too low; log theta makes up for that
    common part, by at most 1 to either side. The slope follows from the variance 1 / theta of the rates.

    Args:
        target: [genes], mean of log1p counts per 10,000; what is below 0 cannot be reached and counts as 0.
        log_mean: [n, genes] of generated cells, unmoved.
        log_theta: [1 or n, genes].
        seed: of the counts drawn on the way.
    """
    target = target.clamp(min=0)
    some = max(LEAST_CELLS, len(log_mean) // ROUGH_SHARE)
    found, spread = torch.zeros(log_mean.shape[1]), 0.0
    for round_ in range(ROUGH_ROUNDS):
        drawn = _draw(log_mean[:some], log_theta[:some] + spread, found, seed + round_)
        found = found + _step(drawn, target)
        moved = spread + _step_of_dispersion(drawn, log_theta[:some] + spread, target)
        spread = max(-MOST_DISPERSION, min(MOST_DISPERSION, moved))
    for round_ in range(FINE_ROUNDS):
        drawn = _draw(log_mean, log_theta + spread, found, seed + ROUGH_ROUNDS + round_)
        found = found + _step(drawn, target) / (round_ + 1)
    return Moves(found - found.mean(), spread)


class _Drawn(NamedTuple):
    """Rates, with and without luck, counts, and their log1p per 10,000, all [n, genes]; that scale [n, 1]."""

    mean_rate: Tensor
    rate: Tensor
    counts: Tensor
    scale: Tensor
    logs: Tensor


def _draw(log_mean: Tensor, log_theta: Tensor, offset: Tensor, seed: int) -> _Drawn:
    generator = torch.Generator().manual_seed(seed)
    theta = log_theta.exp().expand_as(log_mean)
    log_library = log_mean.logsumexp(1, keepdim=True)
    luck = torch._standard_gamma(theta, generator=generator) / theta  # noqa: SLF001  torch.distributions uses it too
    mean_rate = (log_library + torch.log_softmax(log_mean + offset, 1)).exp()
    counts = torch.poisson(mean_rate * luck, generator=generator)
    scale = TARGET_SUM / counts.sum(1, keepdim=True).clamp(min=1)
    return _Drawn(mean_rate, mean_rate * luck, counts, scale, torch.log1p(counts * scale))


def _step_of_dispersion(drawn: _Drawn, log_theta: Tensor, target: Tensor) -> float:
    """One step of Newton's method for what all genes miss together."""
    bend = (
        torch.log1p((drawn.counts + 2) * drawn.scale) - 2 * torch.log1p((drawn.counts + 1) * drawn.scale) + drawn.logs
    )
    slope = -0.5 * (drawn.mean_rate**2 * bend / log_theta.exp()).mean()
    return float((target - drawn.logs.mean(0)).mean() / slope)


def _step(drawn: _Drawn, target: Tensor) -> Tensor:
    """One step of Newton's method, [genes]."""
    least = HALF_A_COUNT / len(drawn.counts) * torch.log1p(drawn.scale).mean()
    slope = (drawn.rate * (torch.log1p((drawn.counts + 1) * drawn.scale) - drawn.logs)).mean(0)
    mean = drawn.logs.mean(0)
    step = ((target + least).log() - (mean + least).log()) * (mean + least) / (slope + least)
    return step.clamp(-MOST_SHIFT, MOST_SHIFT)
