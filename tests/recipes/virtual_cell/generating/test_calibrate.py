"""A dispersion that lets offsets reach a mean profile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evenkeel_recipes.virtual_cell.generating.calibrate import MOST_DISPERSION, moves_to


def drawn(log_mean: torch.Tensor, log_theta: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mean log1p counts per 10,000 of cells, each drawn six times."""
    theta = log_theta.exp().numpy()
    rate = rng.gamma(theta, 1 / theta, (6, *log_mean.shape)) * log_mean.exp().numpy()
    counts = torch.from_numpy(rng.poisson(rate)).double()
    return torch.log1p(counts * 1e4 / counts.sum(2, keepdim=True).clamp(min=1)).mean((0, 1)).float()


@pytest.mark.parametrize("off_by", [-0.3, 0.3])
def test_dispersion_is_found_again(rng: np.random.Generator, off_by: float) -> None:
    """Cells with another theta than the known one; offsets alone would miss all genes in one direction."""
    logits = torch.from_numpy(rng.normal(0, 1.2, 300) + rng.normal(0, 0.3, (1000, 300))).float()
    log_mean, log_theta = torch.log_softmax(logits, 1) + np.log(1500), torch.full((1, 300), 1.0)
    target = drawn(log_mean, log_theta - off_by, rng)
    offset, spread = moves_to(target, log_mean, log_theta, 1)
    assert spread == pytest.approx(-off_by, abs=0.1)
    reached, without = (
        float((drawn(log_mean + offset, log_theta + moved, rng) - target).mean()) for moved in (spread, 0.0)
    )
    assert abs(without) > 0.03
    assert abs(reached) < 0.4 * abs(without)


def test_the_right_dispersion_is_left_alone(rng: np.random.Generator) -> None:
    """But for the noise of a few hundred cells."""
    log_mean = torch.log_softmax(torch.from_numpy(rng.normal(0, 1.2, (600, 300))).float(), 1) + np.log(1500)
    log_theta = torch.full((1, 300), 1.0)
    assert abs(moves_to(drawn(log_mean, log_theta, rng), log_mean, log_theta, 1).log_theta) < 0.05


def test_dispersion_is_not_blamed_for_everything(rng: np.random.Generator) -> None:
    """A profile that no cells can have, since its shares add up to far more than 1."""
    log_mean = torch.from_numpy(rng.normal(0, 1, (300, 50))).float() + 3
    offset, spread = moves_to(torch.full((50,), 7.0), log_mean, torch.zeros(1, 50), 1)
    assert spread == MOST_DISPERSION
    assert offset is not None
    assert bool(offset.isfinite().all())
