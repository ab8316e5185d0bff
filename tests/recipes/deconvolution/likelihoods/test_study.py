"""Gene factors that samples have in common are found where there are any, and do no harm where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.data.mixtures import (
    Mixtures,
    Signature,
    adapted,
    composition,
    mix,
    rescaled,
    signature_of,
)
from evenkeel_recipes.deconvolution.data.reference import Reference, divide
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.likelihoods.likelihood import fit_all, quasi_likelihood
from evenkeel_recipes.deconvolution.likelihoods.study import (
    BELIEF,
    LEAST_SAMPLES,
    fit_and_doubt,
    fit_study,
    gene_factors,
    variance_in_common,
)

Pair = tuple[Signature, Reference]


@pytest.fixture(scope="module")
def halves() -> Pair:
    """A signature, and other cells of the same types."""
    known, mixed = divide(draw_cells(make_world(1, n_genes=500), 2400, 1), (0.5, 0.5), 1)
    return signature_of(known), mixed


def error(estimates: np.ndarray, mixtures: Mixtures) -> float:
    return float(np.abs(estimates[:, 1] - mixtures.fractions).mean())


def test_factors_are_found_together_with_the_proportions(halves: Pair) -> None:
    signature, cells = halves
    plain = mix(cells, 60, 500, 1.0, 0)
    other = rescaled(plain, 0.6, 0)
    bulk = composition(other.counts)
    together = fit_study(bulk, signature)
    assert error(together.estimates, other) < 0.8 * error(fit_all(bulk, signature).estimates, other)
    true = np.log(other.counts.sum(0) / plain.counts.sum(0))
    assert np.corrcoef(np.log(gene_factors(bulk, signature).values), true)[0, 1] > 0.95
    assert (together.misfit < together.foreign).all()
    assert (together.together == 60).all()


def test_a_gene_that_drowns_one_sample_is_no_factor_and_leaves_its_neighbours_alone(halves: Pair) -> None:
    """Nine tenths of the first sample are one gene; the others are as they were."""
    signature, cells = halves
    clean = rescaled(mix(cells, 30, 500, 1.0, 0), 0.6, 0)
    drowned = clean.counts.copy()
    gene = int(np.argsort(signature.background)[len(signature.background) // 2])
    drowned[0, gene] = 9 * drowned[0].sum()
    before, after = (composition(counts) for counts in (clean.counts, drowned))
    assert after[0, gene] > 0.89
    factors = [gene_factors(bulk, signature).values for bulk in (before, after)]
    assert np.abs(np.log(factors[1] / factors[0])).max() < 0.1
    estimates = [fit_study(bulk, signature).estimates for bulk in (before, after)]
    assert np.abs(estimates[1] - estimates[0])[1:].max() < 0.01
    assert np.abs(estimates[1][0, 1] - clean.fractions[0]).mean() < 0.03


@pytest.mark.parametrize("study", ["one gene is most of all samples", "each sample has genes of its own"])
def test_genes_that_are_far_out_cost_little(halves: Pair, study: str) -> None:
    """One gene three thousand times too high; or in each sample one gene in a hundred, fifty times."""
    signature, cells = halves
    plain, rng = mix(cells, 60, 500, 1.0, 0), np.random.default_rng(4)
    usual = rng.normal(0, 0.6, len(signature.background))
    median = np.arange(len(usual)) == np.argsort(signature.background)[len(usual) // 2]
    more = {
        "one gene is most of all samples": 8.0 * median,
        "each sample has genes of its own": 4.0 * (rng.random(plain.counts.shape) < 0.01),
    }[study]
    errors = [
        error(fit_study(composition(plain.counts * np.exp(factors)), signature).estimates, plain)
        for factors in (usual, usual + more)
    ]
    assert errors[1] < 1.3 * errors[0]


def test_without_another_technology_nothing_is_lost(halves: Pair) -> None:
    signature, cells = halves
    same = mix(cells, 60, 500, 1.0, 0)
    bulk = composition(same.counts)
    assert error(fit_study(bulk, signature).estimates, same) < 1.1 * error(fit_all(bulk, signature).estimates, same)
    assert np.median(np.abs(np.log(gene_factors(bulk, signature).values))) < 0.1


@pytest.mark.parametrize("deviation", [0.0, 0.6])
def test_samples_of_one_composition_are_not_made_worse(halves: Pair, deviation: float) -> None:
    """Their factors and their composition cannot be told apart."""
    signature, cells = halves
    one = mix(cells, 1, 500, 1.0, 2)
    alike = [mix_like(cells, one, seed) for seed in range(20)]
    counts = np.concatenate([sample.counts for sample in alike])
    fractions = np.concatenate([sample.fractions for sample in alike])
    study = rescaled(Mixtures(counts, fractions, fractions), deviation, 3)
    bulk = composition(study.counts)
    assert error(fit_study(bulk, signature).estimates, study) < 1.1 * error(fit_all(bulk, signature).estimates, study)


def mix_like(cells: Reference, sample: Mixtures, seed: int) -> Mixtures:
    """Other cells in the same numbers."""
    rng = np.random.default_rng(seed)
    numbers = np.rint(500 * sample.fractions[0]).astype(int)
    groups = [np.flatnonzero(cells.labels == kind) for kind in range(len(numbers))]
    rows = np.concatenate([rng.choice(group, number) for group, number in zip(groups, numbers, strict=True)])
    counts = np.asarray(cells.counts[rows].sum(0), dtype=np.float64)
    return Mixtures(counts, sample.fractions, sample.asked)


def test_few_samples_are_taken_each_by_itself(halves: Pair) -> None:
    signature, cells = halves
    few = composition(rescaled(mix(cells, LEAST_SAMPLES - 1, 500, 1.0, 0), 0.6, 0).counts)
    assert (fit_study(few, signature).estimates == fit_all(few, signature).estimates).all()
    assert (fit_study(few, signature).together == 1).all()


def test_a_gene_that_no_sample_shows_has_a_factor(halves: Pair) -> None:
    signature, cells = halves
    counts = mix(cells, 20, 500, 1.0, 0).counts
    counts[:, :100] = 0
    factors = gene_factors(composition(counts), signature).values
    assert (factors > 0).all()
    assert (factors[:100] < 1).all()
    assert factors[:100].mean() < 0.8 * factors[100:].mean()
    assert np.isfinite(fit_study(composition(counts), signature).estimates).all()


def test_what_a_study_cannot_tell_is_in_the_variance(halves: Pair) -> None:
    """Samples much alike: their common error is not in the spread of any one of them."""
    signature, cells = halves
    errors, shared, own = [], [], []
    for seed in range(4):
        drawn = mix(cells, 12, 500, 1.0, seed)
        alike = np.concatenate([mix_like(cells, drawn.take(slice(1)), place).counts for place in range(12)])
        truth = np.tile(drawn.fractions[:1], (12, 1))
        study = rescaled(Mixtures(alike, truth, truth), 0.6, seed)
        fitted, doubted = fit_and_doubt(composition(study.counts), signature), in_common(study, signature)
        errors.append(((fitted.estimates[:, -1] - truth) ** 2).mean())
        shared.append(doubted.mean())
        own.append((fitted.variance - doubted).mean())
        assert (fit_study(composition(study.counts), signature).estimates == fitted.estimates).all()
    assert np.mean(errors) < np.mean(shared) < 4 * np.mean(errors)
    assert 0 < np.mean(own) < 0.2 * np.mean(errors)


def test_samples_that_differ_leave_less_in_doubt(halves: Pair) -> None:
    signature, cells = halves
    different = rescaled(mix(cells, 40, 500, 0.5, 0), 0.6, 0)
    alike = rescaled(mix(cells, 40, 500, 100.0, 0), 0.6, 0)
    assert in_common(different, signature).mean() < 0.3 * in_common(alike, signature).mean()


def test_a_type_that_no_sample_has_is_no_obstacle(halves: Pair) -> None:
    signature, cells = halves
    bulk = composition(mix(cells, 20, 500, 1.0, 0).counts)
    shares = np.full((20, 8), 1 / 7)
    shares[:, 3] = 0
    variance = variance_in_common(bulk, shares, signature, np.full(bulk.shape[1], 0.1))
    assert np.isfinite(variance).all()


def in_common(study: Mixtures, signature: Signature) -> np.ndarray:
    """Variance of what all samples of a study share."""
    bulk = composition(study.counts)
    factors = gene_factors(bulk, signature)
    brought = adapted(signature, factors.values)
    return variance_in_common(bulk, quasi_likelihood(bulk, brought, BELIEF), brought, factors.doubt)


def test_what_noise_of_the_signature_explains_is_no_factor() -> None:
    """Fifteen cells of a type are known; the bulk was measured as they were."""
    cells = draw_cells(make_world(1, n_genes=500), 2400, 1)
    rows = np.concatenate([np.flatnonzero(cells.labels == kind)[:15] for kind in range(8)])
    signature = signature_of(cells.take(rows))
    same = mix(cells, 60, 500, 1.0, 0)
    bulk = composition(same.counts)
    raw = (bulk / (fit_all(bulk, signature).estimates[:, 1] @ signature.composition)).mean(0)
    spread = np.median(np.abs(np.log(gene_factors(bulk, signature).values)))
    assert spread < 0.5 * np.median(np.abs(np.log(raw)))
    assert error(fit_study(bulk, signature).estimates, same) < 1.05 * error(fit_all(bulk, signature).estimates, same)
