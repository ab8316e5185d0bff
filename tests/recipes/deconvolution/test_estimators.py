"""Baselines and likelihoods beside closed forms and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from evenkeel_recipes.deconvolution.estimators import BASELINES, cell_fractions, poisson_em_shares
from evenkeel_recipes.deconvolution.likelihood import DEPTH, fit_all, quasi_likelihood
from evenkeel_recipes.deconvolution.mixtures import Signature, composition, mix, network_input, rescaled, signature_of
from evenkeel_recipes.deconvolution.simulate import draw_cells, make_world
from evenkeel_recipes.kit.refusal import Refused


def a_signature(seed: int, n_types: int = 4, n_genes: int = 60) -> Signature:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(n_genes, 0.5), n_types) + 1e-6
    rows /= rows.sum(1, keepdims=True)
    return Signature(rows, np.exp(rng.normal(0, 0.7, n_types)), rows.mean(0))


def test_without_noise_all_linear_methods_find_the_truth() -> None:
    signature = a_signature(0)
    fractions = np.random.default_rng(1).dirichlet(np.ones(4), 20)
    mass = fractions * signature.content
    bulk = mass / mass.sum(1, keepdims=True) @ signature.composition
    assert len(BASELINES) == 6
    assert BASELINES["nnls_poisson_cells"](bulk, signature) == pytest.approx(fractions, abs=1e-9)
    assert BASELINES["poisson_em_cells"](bulk, signature) == pytest.approx(fractions, abs=2e-3)
    assert fit_all(bulk, signature).estimates == pytest.approx(fractions[:, None].repeat(3, 1), abs=1e-3)
    for wrong in ("nnls", "nnls_log1p", "constant"):
        assert np.abs(BASELINES[wrong](bulk, signature) - fractions).mean() > 0.01


def test_the_constant_is_as_wrong_as_theory_says() -> None:
    truth = np.random.default_rng(0).dirichlet(np.ones(25), 20_000)
    guess = BASELINES["constant"](np.ones((len(truth), 3)), Signature(np.ones((25, 3)), np.ones(25), np.ones(3)))
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


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.03, 0.1]))
def test_the_last_reweighting_is_the_twins_least_squares(seed: int, dispersion: float) -> None:
    """One more weighted problem from the estimate, by a general solver, moves it little."""
    signature = a_signature(seed)
    shares = np.random.default_rng(seed).dirichlet(np.ones(4), 1)
    bulk = shares @ signature.composition
    found = quasi_likelihood(bulk, signature.composition, dispersion)
    assert found == pytest.approx(shares, abs=5e-3)
    mean = found[0] @ signature.composition
    weights = 1 / (mean + DEPTH * dispersion * mean**2)
    residual = signature.composition @ (weights * (bulk[0] - mean))
    assert np.abs(residual).max() < 1e-2 * np.abs(signature.composition @ (weights * bulk[0])).max()


def test_overdispersion_withstands_another_technology() -> None:
    reference = draw_cells(make_world(3, n_genes=800), 1600, 3)
    mixtures = rescaled(mix(reference, 60, 500, 1.0, 5), 0.7, 5)
    signature = signature_of(reference)
    fitted = fit_all(composition(mixtures.counts), signature)
    errors = np.abs(fitted.estimates - mixtures.fractions[:, None]).mean((0, 2))
    assert errors[2] < 0.6 * errors[0]
    same = fit_all(composition(mix(reference, 60, 500, 1.0, 5).counts), signature)
    assert np.median(fitted.misfit) > np.median(same.misfit) + 0.5


def test_mixtures_are_what_they_say() -> None:
    world = make_world(0, n_genes=400)
    reference = draw_cells(world, 4000, 0)
    mixtures = mix(reference, 200, 300, 1.0, 1)
    assert mixtures.fractions.sum(1) == pytest.approx(1)
    assert mixtures.fractions * 300 == pytest.approx(np.rint(mixtures.fractions * 300))
    found = composition(mixtures.counts).mean(0)
    errors = []
    for content in (world.content, np.ones(8)):  # right, and as if all cells were alike
        mass = mixtures.fractions * content
        expected = mass / mass.sum(1, keepdims=True) @ world.composition
        errors.append(np.abs(found - expected.mean(0)).sum())
    assert errors[0] < 0.08 < errors[1]
    assert (mix(reference, 200, 300, 1.0, 1).counts == mixtures.counts).all()


def test_the_networks_view_has_its_known_range() -> None:
    view = network_input(composition(np.array([[3.0, 0.0], [1.0, 1.0]])))
    assert view.max() == pytest.approx(9.2104, abs=1e-4)
    assert np.expm1(view.astype(float)).sum(1) == pytest.approx(1e4, rel=1e-6)
    with pytest.raises(Refused, match="the first is 1"):
        composition(np.array([[1.0, 2.0], [0.0, 0.0]]))


def test_fractions_of_cells_are_shares_over_content() -> None:
    content = np.array([1.0, 4.0])
    assert cell_fractions(np.array([[0.2, 0.8]]), content) == pytest.approx(np.array([[0.5, 0.5]]))
