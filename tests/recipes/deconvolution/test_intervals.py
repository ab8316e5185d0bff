"""Intervals hold nine times in ten where samples are exchangeable, in each level of misfit."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.intervals import calibrate, interval


def noisy(seed: int, n_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, misfit = rng.dirichlet(np.ones(5), n_samples), rng.uniform(0, 1, n_samples)
    estimate = np.clip(truth + rng.normal(0, 0.01 + 0.1 * misfit[:, None], truth.shape), 1e-6, None)
    return estimate / estimate.sum(1, keepdims=True), truth, misfit


def test_new_samples_are_covered_at_each_level() -> None:
    calibration = calibrate(*noisy(0, 3000), 3)
    estimate, truth, misfit = noisy(1, 6000)
    lower, upper = interval(estimate, misfit, calibration)
    held = (lower <= truth) & (truth <= upper)
    for low, high in ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)):
        here = (misfit >= low) & (misfit < high)
        assert held[here].mean() == pytest.approx(0.9, abs=0.02)
    assert (calibration.widths[0] < calibration.widths[2]).all()
    assert lower.min() >= 0
    assert upper.max() <= 1


def test_few_samples_give_the_widest() -> None:
    estimate, truth, misfit = noisy(0, 6)
    calibration = calibrate(estimate, truth, misfit, 1)
    lower, upper = interval(estimate, misfit, calibration)
    assert ((lower <= truth) & (truth <= upper)).all()
