"""Each term is what its formula says, and least where it ought to be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor

from evenkeel_recipes.deconvolution.networks import losses

RNG = np.random.default_rng(0)
OBSERVED, EXPECTED = (torch.from_numpy(RNG.dirichlet(np.ones(30), 4)) for _ in range(2))


def negative_binomial(expected: Tensor) -> Tensor:
    return losses.bulk_likelihood(expected, OBSERVED, 1e5, 0.03)


def test_the_likelihood_of_counts_is_that_of_a_negative_binomial() -> None:
    counts, dispersion = torch.round(500 * OBSERVED), 0.1
    theta, mean = 1 / dispersion, 500 * EXPECTED.numpy()
    logs = stats.nbinom.logpmf(counts.numpy(), theta, theta / (theta + mean))
    found = losses.bulk_likelihood(EXPECTED, counts / 500, 500, dispersion)
    assert float(found) == pytest.approx(-logs.sum(1).mean() / 500, rel=1e-9)


def test_logarithms_are_compared_after_mixing() -> None:
    logs = [np.log1p(1e4 * each.numpy()) for each in (EXPECTED, OBSERVED)]
    found = losses.bulk_logarithms(EXPECTED, OBSERVED)
    assert float(found) == pytest.approx(((logs[0] - logs[1]) ** 2).mean(), rel=1e-12)


@pytest.mark.parametrize("loss", [negative_binomial, lambda mix: losses.bulk_logarithms(mix, OBSERVED)])
def test_reconstruction_is_least_at_the_truth(loss: Callable[[Tensor], Tensor]) -> None:
    at_truth = OBSERVED.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(at_truth), at_truth)
    assert float((slope - (slope * OBSERVED).sum(-1, keepdim=True)).abs().max()) < 1e-6
    assert float(loss(OBSERVED)) < float(loss(0.9 * OBSERVED + 0.1 * EXPECTED)) < float(loss(EXPECTED))


def test_squared_proportions_have_a_tenth_of_the_divergence_and_its_slope() -> None:
    logits, target = torch.from_numpy(RNG.normal(size=(2, 5, 3))), torch.from_numpy(RNG.dirichlet(np.ones(3), 5))
    predicted = special.softmax(logits.numpy(), axis=-1)
    divergence = special.rel_entr(target.numpy(), predicted).sum(-1)
    expected = (((predicted - target.numpy()) ** 2).mean(-1) + 0.1 * divergence).mean()
    assert float(losses.squared_proportion(logits, target)) == pytest.approx(expected, rel=1e-12)
