"""Scores against formulas written out, ceilings against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from evenkeel_recipes.virtual_cell.judging.scores import HIGHER_IS_BETTER, Seen, ceiling_of, mean_of, scores


def seen(rng: np.random.Generator, n_genes: int = 80) -> Seen:
    """Any profile, effect and cells."""
    return Seen(*(torch.from_numpy(rng.normal(size=shape)) for shape in ((n_genes,), (n_genes,), (20, n_genes))))


def test_scores_are_their_formulas(rng: np.random.Generator) -> None:
    """By NumPy and SciPy."""
    predicted, measured = seen(rng), seen(rng)
    found = scores(predicted, measured)
    p, m = predicted.mean.numpy(), measured.mean.numpy()
    assert set(found) == set(HIGHER_IS_BETTER)
    assert found["rmse"] == pytest.approx(np.sqrt(((p - m) ** 2).mean()))
    assert found["mse"] == pytest.approx(((p - m) ** 2).mean())
    assert found["mae"] == pytest.approx(np.abs(p - m).mean())
    assert found["r2"] == pytest.approx(1 - ((p - m) ** 2).sum() / ((m - m.mean()) ** 2).sum())
    assert found["pearson_delta"] == pytest.approx(stats.pearsonr(predicted.effect, measured.effect)[0])
    assert found["spearman_delta"] == pytest.approx(stats.spearmanr(predicted.effect, measured.effect)[0])
    top = [set(np.argsort(-np.abs(one.effect.numpy()))[:50]) for one in (predicted, measured)]
    assert found["de_overlap"] == pytest.approx(len(top[0] & top[1]) / 50)
    right = np.sign(predicted.effect.numpy()) == np.sign(measured.effect.numpy())
    assert found["de_sign"] == pytest.approx(right[list(top[1])].mean())


def test_no_effect_has_no_correlation(rng: np.random.Generator) -> None:
    """Undefined, not 0; errors are defined all the same."""
    flat = seen(rng)
    found = scores(Seen(flat.mean, torch.zeros(80, dtype=torch.float64), flat.cells), seen(rng))
    assert {name for name, value in found.items() if value is None} == {
        "pearson_delta",
        "spearman_delta",
        "de_overlap",
        "de_sign",
    }


def test_a_mean_over_conditions_wants_all_of_them() -> None:
    """Leaving some out for one predictor only would compare different conditions."""
    assert mean_of([{"rmse": 1.0}, {"rmse": 2.0}], "rmse") == 1.5
    assert mean_of([{"rmse": 1.0}, {"rmse": None}], "rmse") is None
    assert mean_of([], "rmse") is None


def test_ceilings_are_what_the_truth_scores(rng: np.random.Generator) -> None:
    """From halves of noisy measurements of a known effect."""
    n_genes, noise = 20_000, 0.8
    truth = rng.normal(size=n_genes)
    halves = [truth + noise * rng.normal(size=n_genes) for _ in range(2)]
    whole = (halves[0] + halves[1]) / 2
    r, mse = stats.pearsonr(*halves)[0], ((halves[0] - halves[1]) ** 2).mean()
    assert ceiling_of("pearson_delta", r) == pytest.approx(stats.pearsonr(truth, whole)[0], abs=0.01)
    assert ceiling_of("mse", mse) == pytest.approx(((truth - whole) ** 2).mean(), rel=0.05)
    assert ceiling_of("rmse", np.sqrt(mse)) == pytest.approx(np.sqrt(((truth - whole) ** 2).mean()), rel=0.05)
    r2 = 1 - mse / halves[1].var()
    assert ceiling_of("r2", r2) == pytest.approx(1 - ((truth - whole) ** 2).mean() / halves[1].var(), abs=0.02)
    assert ceiling_of("pearson_delta", -0.1) is None
    assert ceiling_of("de_overlap", 0.5) is None
    assert ceiling_of("energy_distance", 0.3) == 0.0
