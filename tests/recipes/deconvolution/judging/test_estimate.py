"""From samples to proportions: a study as a whole, its intervals, and what is marked as strange."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import Mixtures, mix, rescaled
from evenkeel_recipes.deconvolution.data.reference import Reference, divide, three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.judging.estimate import BLENDS, Estimated, Estimator, estimate, settle
from evenkeel_recipes.deconvolution.judging.evaluate import coverage
from evenkeel_recipes.deconvolution.networks.model import BulkInput, Deconvolution
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import Prepared, known_signature, simulate
from evenkeel_recipes.deconvolution.training.train import build

CONFIG = RunConfig(n_train=40, redraws=4, n_val=480, n_test=20, n_cells=300, hidden_dim=8, members=1, latent_dim=4)
MISSING = 2


@pytest.fixture(scope="module")
def cells() -> tuple[Reference, Reference]:
    """A reference that lacks a type, and other cells of all types."""
    known, mixed = divide(draw_cells(make_world(5, n_genes=500), 3200, 5), (0.5, 0.5), 5)
    others = np.flatnonzero(known.labels != MISSING)
    labels = known.labels[others] - (known.labels[others] > MISSING)
    return replace(known.take(others), labels=labels, types=known.types[:MISSING] + known.types[MISSING + 1 :]), mixed


@pytest.fixture(scope="module")
def settled(cells: tuple[Reference, Reference]) -> tuple[Estimator, Prepared]:
    """A model that has learned nothing, with what is chosen and calibrated on validation samples."""
    science = healthy()
    parts = three_parts(cells[0], 0)
    prepared = simulate(parts, CONFIG, science)
    signature = known_signature(parts.train, science)
    model = build(parts.train, signature, CONFIG, science).eval()
    return settle(model, science.emitted, signature, prepared.val, CONFIG.members), prepared


def whole(estimator: Estimator, mixtures: Mixtures) -> Estimated:
    return estimate(estimator, mixtures.counts, np.arange(mixtures.counts.shape[1]))


def test_validation_has_samples_fitted_alone_and_together(settled: tuple[Estimator, Prepared]) -> None:
    estimator, prepared = settled
    assert set(prepared.val.fitted.together) == {1, 20}
    assert set(prepared.test.fitted.together) == {20}
    assert estimator.weights[1:].sum() in BLENDS
    assert estimator.weights.sum() == pytest.approx(1)


def test_the_kind_of_network_that_validates_better_has_a_say(settled: tuple[Estimator, Prepared]) -> None:
    """Of two kinds, one of which says that all is of the first type, and then the other."""
    estimator, prepared = settled
    mute = replace(prepared.val, fractions=np.full_like(prepared.val.fractions, 1 / 7))
    for right in (0, 1):
        model = build_two_kinds(right)
        found = settle(model, estimator.emitted, estimator.signature, mute, 2)
        assert found.weights.tolist() == ([0.5, 0.25, 0.25, 0, 0] if right == 0 else [0.5, 0, 0, 0.25, 0.25])


def build_two_kinds(right: int) -> Deconvolution:
    """The first answers 1 for one type; of the two kinds behind it, one says that all types are alike."""
    alike, wrong = torch.zeros(7), torch.tensor([9.0, 0, 0, 0, 0, 0, 0])
    kinds = [alike, alike, wrong, wrong] if right == 0 else [wrong, wrong, alike, alike]
    return Deconvolution(nn.Identity(), nn.Identity(), [Always(logits) for logits in (wrong, *kinds)], torch.ones(7))


class Always(nn.Module):
    """The same logits for each sample."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, bulk: BulkInput) -> torch.Tensor:
        return self.logits.expand(len(bulk.misfit), -1)


def test_a_study_is_estimated_in_any_order(
    settled: tuple[Estimator, Prepared], cells: tuple[Reference, Reference]
) -> None:
    """Each sample depends on which others there are, and not on where they stand."""
    study = rescaled(mix(cells[1], 30, 300, 1.0, 0), 0.6, 0)
    order = np.random.default_rng(0).permutation(30)
    shuffled = Mixtures(study.counts[order], study.fractions[order], study.asked[order])
    first, second = whole(settled[0], study), whole(settled[0], shuffled)
    assert second.fractions == pytest.approx(first.fractions[order], abs=1e-6)
    assert second.lower == pytest.approx(first.lower[order], abs=1e-6)


@pytest.mark.parametrize("deviation", [0.0, 0.6])
def test_a_missing_type_is_strange_and_another_technology_is_not(
    settled: tuple[Estimator, Prepared], cells: tuple[Reference, Reference], deviation: float
) -> None:
    """Where 30 % and more are of a type that the reference lacks, beside samples that have none of it."""
    known, mixed = cells
    study = rescaled(mix(mixed, 400, 300, 1.0, 1), deviation, 1)
    much = study.fractions[:, MISSING] >= 0.3
    assert whole(settled[0], study).strange[much].mean() > 0.9
    without = replace(mixed.take(np.flatnonzero(mixed.labels != MISSING)), types=known.types)
    labels = without.labels - (without.labels > MISSING)
    usual = rescaled(mix(replace(without, labels=labels), 200, 300, 1.0, 2), deviation, 2)
    found = whole(settled[0], usual)
    assert found.strange.mean() <= 0.05  # they share the cells and the technology of one study
    assert 0.8 < coverage(found, usual.fractions) <= 1
