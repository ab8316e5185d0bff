"""The likelihood against an oracle, its gradients at the edges, the floor of the flow, distances against metrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from evenkeel.metrics import TwoSamples
from evenkeel_recipes.virtual_cell.model import losses
from evenkeel_recipes.virtual_cell.model.losses import (
    BANDWIDTHS,
    energy,
    floor_of,
    library_times_share,
    mmd,
    nb_log_likelihood,
)
from evenkeel_recipes.virtual_cell.model.vae import LOG_THETA_RANGE


def exact(count: int, log_mean: float, log_theta: float) -> float:
    """The log-likelihood in 60 digits."""
    with mp.workdps(60):
        mean, theta = mp.exp(mpf(log_mean)), mp.exp(mpf(log_theta))
        value = mp.loggamma(count + theta) - mp.loggamma(theta) - mp.loggamma(count + 1)
        return float(value + theta * mp.log(theta / (theta + mean)) + count * mp.log(mean / (theta + mean)))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(-12, 12), st.floats(*LOG_THETA_RANGE))
def test_likelihood_is_exact(count: float, log_mean: float, log_theta: float) -> None:
    """Between the bounds of theta, for any count, in float32."""
    given_ = [torch.tensor(float(np.float32(v))) for v in (count, log_mean, log_theta)]
    found = float(nb_log_likelihood(*given_))
    true = exact(count, float(given_[1]), float(given_[2]))
    assert abs(found - true) <= 2e-5 * max(1.0, abs(true), count)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("log_theta", LOG_THETA_RANGE)
@pytest.mark.parametrize("logit", [-80.0, 0.0, 80.0])
def test_gradients_are_finite_at_every_edge(dtype: torch.dtype, count: float, log_theta: float, logit: float) -> None:
    """Zero counts, huge counts, theta at its bounds, shares near 0 and 1; logits that came out of bfloat16 too."""
    logits = torch.tensor([[logit, 0.0]], dtype=dtype, requires_grad=True)
    theta = torch.full((1, 2), log_theta, requires_grad=True)
    counts = torch.tensor([[count, 1.0]])
    log_mean = library_times_share(logits.float(), counts.sum(1, keepdim=True).log())
    value = nb_log_likelihood(counts, log_mean, theta).sum()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(theta.grad).all()


@pytest.mark.parametrize("std", [0.3, 1.0, 2.5])
def test_floor_is_what_the_best_field_leaves(std: float) -> None:
    """pi/2 times the standard deviation, against the exact conditional variance, integrated over time."""
    times = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    left = (std**2 / ((1 - times) ** 2 + times**2 * std**2)).mean()
    assert floor_of(torch.ones(1, 4), torch.full((1, 4), std)) == pytest.approx(float(left), rel=1e-4)
    assert floor_of(torch.ones(1, 1), torch.ones(1, 1)) == pytest.approx(math.pi / 2)


def test_distances_are_those_of_the_metrics(rng: np.random.Generator) -> None:
    """Differentiable, and the same numbers."""
    x, y = torch.from_numpy(rng.normal(size=(20, 3))), torch.from_numpy(rng.normal(0.5, 2, size=(30, 3)))
    samples = TwoSamples.of(x, y)
    assert float(energy(x, y)) == pytest.approx(samples.energy().value, rel=1e-9)
    scale = float(torch.pdist(y).median())
    between = torch.cdist(y, y)[~torch.eye(30, dtype=torch.bool)]
    assert float(mmd(x, y)) == pytest.approx(
        samples.mmd([b * float(between.median()) for b in BANDWIDTHS]).value, rel=1e-6
    )
    assert scale > 0


@pytest.mark.parametrize("distance", [mmd, energy])
def test_distances_pull_also_where_samples_coincide(distance: Callable[..., torch.Tensor]) -> None:
    """No gradient is NaN where two points are the same."""
    x = torch.zeros(8, 2, requires_grad=True)
    y = torch.cat([torch.zeros(4, 2), torch.ones(4, 2)])
    distance(x, y).backward()
    assert torch.isfinite(x.grad).all()


def test_distances_are_taken_within_conditions_with_enough_cells() -> None:
    """Seven cells are too few, eight are enough, and how many conditions counted is told."""
    ended, aim = torch.randn(15, 2), torch.randn(15, 2)
    group = torch.tensor([0] * 8 + [1] * 7)
    value, number = losses.distances_of_conditions(ended, aim, group, energy)
    assert number == 1
    assert float(value) == pytest.approx(float(energy(ended[:8], aim[:8])))
    assert losses.distances_of_conditions(ended[8:], aim[8:], group[8:], energy) == (None, 0)
