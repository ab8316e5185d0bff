"""Additive effects, shrunk by how likely the data make them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from evenkeel_recipes.virtual_cell.means.anchor import SCALES, Design, Likeness, Relations, covariance, fit_anchor
from evenkeel_recipes.virtual_cell.means.anchor import _at as at
from evenkeel_recipes.virtual_cell.means.anchor import _evidence as evidence
from evenkeel_recipes.virtual_cell.means.profiles import Profiles

SINGLES = np.vstack([np.zeros(4), np.eye(4)])


def profiles(
    rng: np.random.Generator, effect: np.ndarray, number: float = 100.0, n_types: int = 1, n_genes: int = 60
) -> tuple[np.ndarray, Profiles]:
    """Means of the control and four perturbations in each type, with the noise of that many cells."""
    base = rng.normal(2, 1, (n_types, n_genes))
    mean = np.concatenate([base[kind] + SINGLES @ effect for kind in range(n_types)])
    mean = mean + rng.normal(0, 1, mean.shape) / np.sqrt(number)
    return base, Profiles(np.tile(np.arange(5), n_types), np.repeat(np.arange(n_types), 5),
                          np.full(len(mean), number), mean, np.ones(n_genes))  # fmt: skip


def asked(*codes: list[float]) -> Design:
    """Conditions of type 0."""
    return Design(np.array(codes, dtype=float), np.zeros(len(codes), dtype=np.int64))


def test_combinations_are_sums_where_data_are_plenty(rng: np.random.Generator) -> None:
    """With a million cells, nothing is left to shrink."""
    effect = rng.normal(0, 1, (4, 60))
    base, given = profiles(rng, effect, number=1e6)
    found = fit_anchor(given, SINGLES, 0, np.eye(4), 1).predict(asked([1, 1, 0, 0], [0, 0, 0, 0]))
    assert np.abs(found[0] - (base[0] + effect[0] + effect[1])).max() < 0.05
    assert np.abs(found[1] - base[0]).max() < 0.05


def test_effects_that_are_noise_shrink(rng: np.random.Generator) -> None:
    """Where there is none, the sum of differences has twice the noise; the anchor has hardly any."""
    base, given = profiles(rng, np.zeros((4, 60)), number=30)
    found = fit_anchor(given, SINGLES, 0, np.eye(4), 1).predict(asked([1, 1, 0, 0]))[0]
    additive = given.mean[1] + given.mean[2] - given.mean[0]
    assert np.sqrt(((found - base[0]) ** 2).mean()) < 0.5 * np.sqrt(((additive - base[0]) ** 2).mean())


def test_evidence_is_that_of_a_gaussian(rng: np.random.Generator) -> None:
    """Against scipy, gene by gene and scale by scale, up to a constant of the data."""
    _, given = profiles(rng, rng.normal(0, 0.3, (4, 6)), n_genes=6)
    design = Design(SINGLES, given.cell_type)
    likeness, relations = Likeness(np.eye(4), np.zeros((1, 1))), Relations(0.3, 0.0, 1.0, 0.0)
    ours = evidence(given, *at(design, design, likeness, relations))
    priors = [covariance(design, design, likeness, scale, relations) for scale in SCALES]
    centred = given.mean - given.mean.mean(0)
    theirs = [
        np.array(
            [multivariate_normal(np.zeros(5), prior + np.diag(1 / given.number)).logpdf(gene) for gene in centred.T]
        )
        for prior in priors
    ]
    assert np.allclose(ours - ours[0], np.array(theirs) - theirs[0])


def test_covariances_are_positive(rng: np.random.Generator) -> None:
    """For any relation and likeness of types, so that there is a Gaussian with them."""
    codes = np.vstack([SINGLES, [[1, 1, 0, 0], [0, 1, 1, 0]]])
    design = Design(np.vstack([codes] * 3), np.repeat(np.arange(3), len(codes)))
    far = np.array([[0, 1, np.inf], [1, 0, 2], [np.inf, 2, 0]])
    for scale in SCALES[[0, 5, -1]]:
        prior = covariance(design, design, Likeness(np.eye(4), far), scale, Relations(1.0, 1.0, 0.5, 0.15))
        assert np.linalg.eigvalsh(prior).min() > -1e-6


def test_another_type_is_told_by_the_like_ones(rng: np.random.Generator) -> None:
    """A type is predicted from the two whose controls are like its own, not from the two that are not."""
    near, far = rng.normal(0, 1, 60), rng.normal(0, 1, 60)
    base = np.stack([near, near + 0.1, near - 0.1, far, far + 0.1])
    effects = np.stack([np.ones(60), np.ones(60), np.ones(60), -np.ones(60), -np.ones(60)]) * rng.normal(0, 1, 60)
    rows = [(0, kind) for kind in range(5)] + [(1, kind) for kind in range(1, 5)]
    mean = np.stack([base[k] + t * effects[k] for t, k in rows]) + rng.normal(0, 0.05, (9, 60))
    given = Profiles(
        np.array([t for t, _ in rows]), np.array([k for _, k in rows]), np.full(9, 400.0), mean, np.ones(60)
    )
    anchor = fit_anchor(given, np.array([[0.0], [1.0]]), 0, np.eye(1), 5)
    found = anchor.predict(asked([1.0], [0.0]))
    shift = np.mean([mean[5 + k] - mean[1 + k] for k in range(4)], 0)
    wrong = [np.sqrt(((change - effects[0])[: 60 - 1] ** 2).mean()) for change in (found[0] - found[1], shift)]
    assert wrong[0] < 0.5 * wrong[1]


def test_an_unknown_perturbation_gets_what_all_share(rng: np.random.Generator) -> None:
    """No more: what the others have in common, if anything."""
    effect = np.tile(rng.normal(0, 1, 60), (4, 1)) + rng.normal(0, 0.1, (4, 60))
    base, given = profiles(rng, effect, number=1000)
    codes = np.hstack([SINGLES, np.zeros((5, 1))])
    found = fit_anchor(given, codes, 0, np.eye(5), 1).predict(asked([0, 0, 0, 0, 1]))[0]
    assert np.corrcoef(found - base[0], effect[0])[0, 1] > 0.9


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_genes_that_never_vary_stay(rng: np.random.Generator, constant: float) -> None:
    """No variance, no effect, no NaN."""
    _, given = profiles(rng, np.zeros((4, 5)), n_genes=5)
    given.mean[:, 2], given.variance[2] = constant, 0.0
    found = fit_anchor(given, SINGLES, 0, np.eye(4), 1).predict(asked([1, 0, 1, 0]))
    assert found[0, 2] == pytest.approx(constant)
