"""Latents are computed once, and starts belong to the same context."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.training.flow_data import (
    CERTAIN,
    Pairing,
    partners,
    posteriors,
    sha256_of,
    starts_of,
)
from evenkeel_recipes.virtual_cell.training.material import Material


@pytest.fixture
def pairing(model: VirtualCell, material: Material) -> Pairing:
    """From controls, matched."""
    study, split = material.study, material.split
    controls = split.train[study.treatment[split.train] == study.control]
    latents = posteriors(model, study, np.arange(len(study)))
    return Pairing(source="control", matched=True, study=study, latents=latents, controls=controls)


def test_posteriors_are_the_same_each_time(model: VirtualCell, material: Material) -> None:
    """Without dropout and without gradient, whatever mode the model was in."""
    model.train()
    first = posteriors(model, material.study, material.split.train)
    model.train()
    assert sha256_of(first) == sha256_of(posteriors(model, material.study, material.split.train))
    assert not first.mean.requires_grad


def test_partners_are_controls_of_the_same_type(pairing: Pairing, material: Material, rng: np.random.Generator) -> None:
    """Each control about as often as the others."""
    rows = material.split.train
    found = partners(pairing, rows, rng)
    study = material.study
    assert (study.treatment[found] == study.control).all()
    assert np.array_equal(study.cell_type[found], study.cell_type[rows])
    assert set(found) == set(pairing.controls)


def test_matched_paths_are_shorter(pairing: Pairing, material: Material, rng: np.random.Generator) -> None:
    """Than those of random pairs; a control is matched with itself."""
    rows, ends = material.split.train, pairing.latents.mean
    unmatched = replace(pairing, matched=False)
    lengths = [float((ends[rows] - ends[partners(p, rows, rng)]).square().sum()) for p in (pairing, unmatched)]
    assert lengths[0] < lengths[1]
    own = partners(pairing, pairing.controls, rng)
    assert np.array_equal(own, pairing.controls)


@pytest.mark.parametrize("matched", [True, False])
def test_noise_is_standard(pairing: Pairing, material: Material, rng: np.random.Generator, matched: Any) -> None:  # noqa: ANN401
    """Matched noise was drawn already; its moments are those of noise all the same."""
    noise = replace(pairing, source="noise", matched=matched)
    mean, log_var = starts_of(noise, material.split.train, rng)
    drawn = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
    assert abs(float(drawn.mean())) < 0.05
    assert abs(float(drawn.std()) - 1) < 0.05
    assert bool((log_var == CERTAIN).all()) is matched
