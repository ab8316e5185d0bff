"""Baselines beside closed forms and a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.likelihoods.baselines import (
    BASELINES,
    cell_fractions,
    poisson_em_shares,
    variance_of_fractions,
)
from evenkeel_recipes.deconvolution.likelihoods.likelihood import fit_all


def a_signature(seed: int, n_types: int = 4, n_genes: int = 60) -> Signature:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(n_genes, 0.5), n_types) + 1e-6
    rows /= rows.sum(1, keepdims=True)
    return Signature(rows, np.exp(rng.normal(0, 0.7, n_types)), rows.mean(0), np.zeros_like(rows))


def test_without_noise_all_linear_methods_find_the_truth() -> None:
    signature = a_signature(0)
    fractions = np.random.default_rng(1).dirichlet(np.ones(4), 20)
    mass = fractions * signature.content
    bulk = mass / mass.sum(1, keepdims=True) @ signature.composition
    assert len(BASELINES) == 6
    assert BASELINES["nnls_poisson_cells"](bulk, signature) == pytest.approx(fractions, abs=1e-9)
    assert BASELINES["poisson_em_cells"](bulk, signature) == pytest.approx(fractions, abs=2e-3)
    assert fit_all(bulk, signature).estimates == pytest.approx(fractions[:, None].repeat(4, 1), abs=1e-3)
    for wrong in ("nnls", "nnls_log1p", "constant"):
        assert np.abs(BASELINES[wrong](bulk, signature) - fractions).mean() > 0.01


def test_an_error_of_shares_is_carried_to_fractions() -> None:
    """Beside 200,000 draws of the shares."""
    rng, content = np.random.default_rng(0), np.array([0.5, 1.0, 2.0, 4.0])
    shares, root = np.array([[0.1, 0.2, 0.3, 0.4]]), 1e-3 * rng.normal(size=(4, 4))
    drawn = shares + rng.normal(size=(200_000, 4)) @ root.T
    found = cell_fractions(drawn, content).var(0)
    assert variance_of_fractions((root @ root.T)[None], shares, content)[0] == pytest.approx(found, rel=0.02)


def test_the_constant_is_as_wrong_as_theory_says() -> None:
    truth = np.random.default_rng(0).dirichlet(np.ones(25), 20_000)
    nothing = Signature(np.ones((25, 3)), np.ones(25), np.ones(3), np.zeros((25, 3)))
    guess = BASELINES["constant"](np.ones((len(truth), 3)), nothing)
    assert np.abs(guess - truth).mean() == pytest.approx(2 * (1 - 1 / 25) ** 25 / 25, rel=5e-3)
    assert np.sqrt(((guess - truth) ** 2).mean()) == pytest.approx(np.sqrt((1 / 25) * (1 - 1 / 25) / 26), rel=5e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_each_update_of_the_em_raises_the_likelihood_of_the_twin(seed: int) -> None:
    signature = a_signature(seed)
    bulk = np.random.default_rng(seed).dirichlet(signature.background * 300 + 1e-3, 1)

    def loss(shares: np.ndarray) -> float:
        return -float((bulk[0] * np.log(shares @ signature.composition)).sum())

    found = poisson_em_shares(bulk, signature)[0]
    best = minimize(
        loss,
        np.full(4, 0.25),
        bounds=[(1e-9, 1)] * 4,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert loss(found) <= best.fun + 1e-4


def test_fractions_of_cells_are_shares_over_content() -> None:
    content = np.array([1.0, 4.0])
    assert cell_fractions(np.array([[0.2, 0.8]]), content) == pytest.approx(np.array([[0.5, 0.5]]))
