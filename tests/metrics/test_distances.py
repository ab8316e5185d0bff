"""Distances of two sets of samples: unbiased, unsquared, not averaged over ranks."""

import math

import pytest
import torch
from tests.metrics import twins

from evenkeel.core.errors import UsageError
from evenkeel.metrics import TwoSamples


def drawn(num: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    """Normal, two features."""
    return torch.randn(num, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def test_block_size_plays_no_role() -> None:
    """More samples than one block holds: still the definition."""
    x, y = drawn(1100, 0)[:, :1], drawn(3, 1)[:, :1]
    expected = -twins.two_samples(x.numpy(), y.numpy(), lambda d: d)
    assert TwoSamples.of(x, y).energy().value == pytest.approx(expected, rel=1e-12)


def test_same_distribution_is_zero_on_average_and_below_at_times() -> None:
    """Unbiased: within four standard errors of 0 over 200 draws; V-statistics would all be above."""
    for distance in (TwoSamples.energy, lambda s: s.mmd([1.0])):
        found = torch.tensor(
            [distance(TwoSamples.of(drawn(20, 2 * n), drawn(20, 2 * n + 1))).value for n in range(200)]
        )
        assert abs(float(found.mean())) < 4 * float(found.std()) / math.sqrt(200)
        assert (found < 0).any()


def test_norm_is_not_squared() -> None:
    """Two sets with one mean and different spread are apart; squared norms would not see it."""
    x, y = drawn(400, 0), drawn(400, 1, scale=3.0)
    assert TwoSamples.of(x, y).energy().value > 0.3
    moved = 2 * float(((x.mean(0) - y.mean(0)) ** 2).sum())
    assert moved < 0.1


def test_what_has_no_distance() -> None:
    """Fewer than two samples on a side, NaN, nothing."""
    x = drawn(5, 0)
    spoiled = x.clone()
    spoiled[2, 1] = math.inf
    for found in (TwoSamples.of(x, x[:1]), TwoSamples.of(x[:0], x), TwoSamples.of(spoiled, x), TwoSamples.empty(2)):
        assert not found.energy().is_defined
        assert not found.mmd([1.0]).is_defined
        assert found.energy().undefined == len(found.first.together()) + len(found.second.together())
    assert "1 samples hold" in TwoSamples.of(spoiled, x).energy().reason
    assert not TwoSamples.of(x, x[:1]).median_distance().is_defined


def test_arguments_that_fit_nothing() -> None:
    """Bandwidths and shapes."""
    x = drawn(5, 0)
    for bandwidths in ([], [0.0], [1.0, math.nan]):
        with pytest.raises(UsageError, match="bandwidths"):
            TwoSamples.of(x, x).mmd(bandwidths)
    with pytest.raises(UsageError, match="two sets"):
        TwoSamples.of(x, x[:, :1])
