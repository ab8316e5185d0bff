"""Likelihoods beside slow twins, and what each of their terms is there for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenkeel_recipes.deconvolution.data.mixtures import Signature, composition, mix, rescaled, signature_of
from evenkeel_recipes.deconvolution.data.reference import divide
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.likelihoods.baselines import poisson_em_shares
from evenkeel_recipes.deconvolution.likelihoods.likelihood import (
    BELIEFS,
    DEPTH,
    SAMPLES_AT_ONCE,
    Belief,
    fit_all,
    quasi_likelihood,
    take_off,
)


def a_signature(seed: int, n_types: int = 4, n_genes: int = 60) -> Signature:
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(n_genes, 0.5), n_types) + 1e-6
    rows /= rows.sum(1, keepdims=True)
    return Signature(rows, np.exp(rng.normal(0, 0.7, n_types)), rows.mean(0), np.zeros_like(rows))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.03, 0.1]))
def test_the_last_reweighting_is_the_twins_least_squares(seed: int, dispersion: float) -> None:
    """Without noise, the normal equations of the weights at the estimate hold."""
    signature = a_signature(seed)
    shares = np.random.default_rng(seed).dirichlet(np.ones(4), 1)
    bulk = shares @ signature.composition
    found = quasi_likelihood(bulk, signature, Belief(dispersion, 0.0))
    assert found == pytest.approx(shares, abs=5e-3)
    mean = found[0] @ signature.composition
    weights = 1 / (mean + DEPTH * dispersion * mean**2)
    residual = signature.composition @ (weights * (bulk[0] - mean))
    assert np.abs(residual).max() < 1e-2 * np.abs(signature.composition @ (weights * bulk[0])).max()


def test_what_twelve_cells_of_a_type_leave_open_is_taken_off() -> None:
    """Types hold eight-fold different amounts of mRNA, so that what they borrow of one another is not alike either."""
    known, mixed = divide(draw_cells(make_world(0), 3000, 0), (0.5, 0.5), 0)
    few = known.take(np.concatenate([np.flatnonzero(known.labels == kind)[:12] for kind in range(8)]))
    mixtures = mix(mixed, 60, 1000, 1.0, 0)
    estimates = fit_all(composition(mixtures.counts), signature_of(few)).estimates
    as_it_is, corrected = np.abs(estimates[:, (1, 3)] - mixtures.fractions[:, None]).mean((0, 2))
    assert BELIEFS[1].dispersion == BELIEFS[3].dispersion
    assert corrected < 0.9 * as_it_is


def test_the_variance_is_that_of_repeated_measurements() -> None:
    """One sample, counted 300 times no deeper than 2,000."""
    known, mixed = divide(draw_cells(make_world(1, n_genes=500), 2400, 1), (0.5, 0.5), 1)
    signature, rng = signature_of(known), np.random.default_rng(0)
    for whole in composition(mix(mixed, 3, 500, 1.0, 4).counts):
        fitted = fit_all(composition(rng.multinomial(2000, whole, 300).astype(float)), signature)
        found, said = fitted.estimates[:, -1].std(0), np.sqrt(fitted.variance.mean(0))
        assert said == pytest.approx(found, rel=0.5)
        assert said.mean() == pytest.approx(found.mean(), rel=0.15)


def test_overdispersion_withstands_another_technology() -> None:
    reference = draw_cells(make_world(3, n_genes=800), 1600, 3)
    mixtures = rescaled(mix(reference, 60, 500, 1.0, 5), 0.7, 5)
    signature = signature_of(reference)
    fitted = fit_all(composition(mixtures.counts), signature)
    errors = np.abs(fitted.estimates - mixtures.fractions[:, None]).mean((0, 2))
    assert errors[2] < 0.6 * errors[0]
    same = fit_all(composition(mix(reference, 60, 500, 1.0, 5).counts), signature)
    assert np.median(fitted.misfit) > np.median(same.misfit) + 0.5
    assert (fitted.foreign == fitted.misfit).all()
    assert (fitted.together == 1).all()


def test_a_few_genes_of_something_else_count_little() -> None:
    """A tenth of the counts lies in 3 % of the genes, as that of a type which the reference lacks."""
    signature = a_signature(0, n_genes=400)
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(4), 50)
    foreign = np.zeros(400)
    foreign[:12] = 1 / 12
    bulk = 0.9 * shares @ signature.composition + 0.1 * foreign
    for belief in BELIEFS:
        assert np.abs(quasi_likelihood(bulk, signature, belief) - shares).mean() < 0.01
    assert np.abs(poisson_em_shares(bulk, signature) - shares).mean() > 0.02
    assert fit_all(bulk, signature).outlying == pytest.approx(12 / 400, abs=0.01)


def test_what_is_known_badly_counts_little() -> None:
    """Half of the genes have a signature from few cells."""
    truth = a_signature(2, n_genes=400)
    rng = np.random.default_rng(2)
    deviation = np.where(np.arange(400) % 2, 1.0, 0.02)
    noisy = truth.composition * np.exp(rng.normal(0, deviation, truth.composition.shape))
    shares = rng.dirichlet(np.ones(4), 50)
    known = replace(truth, composition=noisy, variance=(noisy * deviation) ** 2)
    unknown = replace(known, variance=np.zeros_like(noisy))
    belief = Belief(0.001, 0.0)
    errors = [
        np.abs(quasi_likelihood(shares @ truth.composition, signature, belief) - shares).mean()
        for signature in (known, unknown)
    ]
    assert errors[0] < 0.6 * errors[1]


def test_the_correction_keeps_similar_types_apart() -> None:
    """Types that differ by a fifth in each gene, known with noise of a quarter."""
    rng = np.random.default_rng(3)
    base = rng.dirichlet(np.full(600, 2.0))
    rows = base * np.exp(rng.normal(0, 0.2, (3, 600)))
    rows /= rows.sum(1, keepdims=True)
    noisy = rows * np.exp(rng.normal(0, 0.15, rows.shape))
    signature = Signature(noisy, np.ones(3), noisy.mean(0), (0.15 * noisy) ** 2)
    shares = rng.dirichlet(np.ones(3), 200)
    plain, corrected = (
        quasi_likelihood(shares @ rows, signature, Belief(0.03, correction)) for correction in (0.0, 0.7)
    )
    assert np.abs(corrected - shares).mean() < 0.9 * np.abs(plain - shares).mean()
    assert plain.std() < corrected.std()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_the_correction_leaves_a_minimum(seed: int, much: float) -> None:
    """However much noise there is; little of it is taken off as asked."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 4, 4))
    curvature = root @ root.transpose(0, 2, 1) + 1e-3 * np.eye(4)
    noise = much * rng.uniform(0, 1, (5, 4))
    left = curvature.copy()
    take_off(left, noise, 0.7)
    assert np.linalg.eigvalsh(left).min() > 0
    taken = np.einsum("nkk->nk", curvature - left)
    assert taken == pytest.approx(np.minimum(0.7, (taken / noise).min(1, keepdims=True)) * noise)
    tiny = 1e-6 * noise
    left = curvature.copy()
    take_off(left, tiny / much, 0.7)
    assert np.einsum("nkk->nk", curvature - left) == pytest.approx(0.7 * tiny / much, abs=1e-12)


def test_samples_are_fitted_each_by_itself() -> None:
    signature = a_signature(5)
    bulk = np.random.default_rng(5).dirichlet(300 * signature.background + 1e-3, SAMPLES_AT_ONCE + 3)
    whole, last = fit_all(bulk, signature), fit_all(bulk[-3:], signature)
    assert whole.estimates[-3:] == pytest.approx(last.estimates)
    assert whole.deviance[-3:] == pytest.approx(last.deviance)
    assert len(whole.misfit) == SAMPLES_AT_ONCE + 3
