"""Intervals hold nine times in ten where samples are exchangeable, in each group and level of technology."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.likelihoods.intervals import calibrate, interval, strange
from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted


def noisy(seed: int, n_samples: int) -> tuple[np.ndarray, np.ndarray, Fitted]:
    """Half of the samples were fitted together, and are three times as good."""
    rng = np.random.default_rng(seed)
    truth, foreign = rng.dirichlet(np.ones(5), n_samples), rng.uniform(0, 1, n_samples)
    together = np.where(np.arange(n_samples) % 2, 20, 1)
    deviation = (0.01 + 0.1 * foreign) / np.where(together > 1, 3, 1)
    estimate = np.clip(truth + rng.normal(0, deviation[:, None], truth.shape), 1e-6, None)
    estimate /= estimate.sum(1, keepdims=True)
    outlying = rng.uniform(0, 0.1 + foreign)
    variance = np.zeros_like(estimate)
    return estimate, truth, Fitted(estimate[:, None], foreign, foreign, together, outlying, foreign, variance)


def test_new_samples_are_covered_in_each_group_at_each_level() -> None:
    calibration = calibrate(*noisy(0, 6000), 3)
    estimate, truth, fitted = noisy(1, 12_000)
    lower, upper = interval(estimate, fitted, calibration)
    held = (lower <= truth) & (truth <= upper)
    for low, high in ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)):
        for group in (False, True):
            here = (fitted.foreign >= low) & (fitted.foreign < high) & ((fitted.together > 1) == group)
            assert held[here].mean() == pytest.approx(0.9, abs=0.02)
    assert (calibration.widths[:, 0] < calibration.widths[:, 2]).all()
    assert (calibration.widths[1] < calibration.widths[0]).all()
    assert lower.min() >= 0
    assert upper.max() <= 1


def test_a_noisy_sample_has_a_wide_interval_and_another_a_narrow_one() -> None:
    """The same share of each is covered, though nothing but their variances tells them apart."""

    def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, Fitted]:
        estimate, truth, fitted = noisy(seed, 6000)
        rng = np.random.default_rng(seed + 10)
        deviation = np.broadcast_to(np.where(np.arange(6000) % 3, 0.02, 0.1)[:, None], truth.shape)
        shifted = np.clip(truth + rng.normal(0, deviation), 1e-6, 1)
        return shifted, truth, replace(fitted, variance=deviation**2, foreign=rng.uniform(0, 1, len(estimate)))

    calibration = calibrate(*drawn(0), 3)
    estimate, truth, fitted = drawn(1)
    lower, upper = interval(estimate, fitted, calibration)
    held, noisy_ones = (lower <= truth) & (truth <= upper), np.arange(6000) % 3 == 0
    assert held[noisy_ones].mean() == pytest.approx(0.9, abs=0.03)
    assert held[~noisy_ones].mean() == pytest.approx(0.9, abs=0.03)
    assert (upper - lower)[noisy_ones].mean() > 2.5 * (upper - lower)[~noisy_ones].mean()


def test_one_in_a_hundred_is_strange_and_so_is_what_fits_worse_than_all() -> None:
    calibration = calibrate(*noisy(0, 6000), 3)
    _, _, fitted = noisy(1, 12_000)
    assert strange(fitted, calibration).mean() == pytest.approx(0.01, abs=0.004)
    assert strange(replace(fitted, misfit=fitted.misfit + 2), calibration).all()
    assert strange(replace(fitted, outlying=fitted.outlying + 1), calibration).mean() > 0.95


def test_few_samples_give_the_widest() -> None:
    estimate, truth, fitted = noisy(0, 6)
    calibration = calibrate(estimate, truth, fitted, 1)
    lower, upper = interval(estimate, fitted, calibration)
    assert ((lower <= truth) & (truth <= upper)).all()


def test_a_group_without_samples_is_taken_for_all() -> None:
    estimate, truth, fitted = noisy(0, 300)
    alone = calibrate(estimate, truth, replace(fitted, together=np.ones(300, np.int64)), 3)
    assert (alone.widths[0] == alone.widths[1]).all()
    assert (alone.edges[0] == alone.edges[1]).all()
