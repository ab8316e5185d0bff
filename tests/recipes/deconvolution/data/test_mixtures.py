"""Mixtures and signatures: what they say of themselves is so."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.data.mixtures import (
    adapted,
    composition,
    mix,
    mix_alike,
    network_input,
    signature_of,
)
from evenkeel_recipes.deconvolution.data.reference import Reference
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.kit.refusal import Refused


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


def test_samples_of_one_tissue_are_alike_as_said() -> None:
    """About a composition that the seed drew: variance p·(1 - p)/(30 + 8·0.05 + 1), and that of drawing cells."""
    cells = draw_cells(make_world(0, n_genes=300), 800, 0)
    alike = mix_alike(cells, 4000, 1000, 1.0, 3)
    mean = alike.fractions.mean(0)
    expected = mean * (1 - mean) * (1 / 31.4 + 1 / 1000)
    assert alike.fractions.var(0) == pytest.approx(expected, rel=0.1)
    assert np.ptp(mean_of_seed(cells, 4) - mean) > 0.1
    assert alike.fractions.sum(1) == pytest.approx(1)


def mean_of_seed(cells: Reference, seed: int) -> np.ndarray:
    return np.asarray(mix_alike(cells, 200, 1000, 1.0, seed).fractions.mean(0))


def test_the_variance_of_a_signature_is_that_of_signatures_of_other_cells() -> None:
    """Forty cells of a type, drawn anew again and again."""
    whole = draw_cells(make_world(0, n_types=3, n_genes=150), 4000, 0)
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(whole.labels == kind) for kind in range(3)]
    drawn = [whole.take(np.concatenate([rng.choice(group, 40) for group in groups])) for _ in range(300)]
    signatures = [signature_of(cells) for cells in drawn]
    spread = np.var([signature.composition for signature in signatures], axis=0)
    said = np.mean([signature.variance for signature in signatures], axis=0)
    assert np.median(said / spread) == pytest.approx(1, abs=0.2)
    assert np.corrcoef(np.log(said).ravel(), np.log(spread).ravel())[0, 1] > 0.94


def test_a_type_of_one_cell_borrows_its_variance() -> None:
    cells = draw_cells(make_world(0, n_types=3, n_genes=150), 600, 0)
    first = np.flatnonzero(cells.labels == 0)[:1]
    few = signature_of(cells.take(np.concatenate([first, np.flatnonzero(cells.labels)])))
    many = signature_of(cells)
    assert few.variance[0].sum() > 5 * many.variance[0].sum()


def test_another_platform_sees_the_same_cells() -> None:
    signature = signature_of(draw_cells(make_world(0, n_genes=300), 200, 0))
    rng = np.random.default_rng(0)
    one, two = np.exp(rng.normal(0, 1, (2, 300)))
    seen, twice = adapted(signature, one * two), adapted(adapted(signature, one), two)
    assert seen.composition.sum(1) == pytest.approx(1)
    mass = signature.composition * signature.content[:, None] * one * two
    assert seen.composition * seen.content[:, None] == pytest.approx(mass)
    relative = signature.variance / signature.composition**2
    assert seen.variance / seen.composition**2 == pytest.approx(relative)
    for found, expected in ((twice.composition, seen.composition), (twice.variance, seen.variance)):
        assert found == pytest.approx(expected)
