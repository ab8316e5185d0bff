"""What a run is judged by: test samples, and once more validation samples of other cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import composition, mix, mix_alike, signature_of
from evenkeel_recipes.deconvolution.data.reference import halved, three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.judging.estimate import settle
from evenkeel_recipes.deconvolution.judging.evaluate import Compared
from evenkeel_recipes.deconvolution.judging.judge import judge
from evenkeel_recipes.deconvolution.judging.report import Judged
from evenkeel_recipes.deconvolution.likelihoods.baselines import poisson_em
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import known_signature, simulate
from evenkeel_recipes.deconvolution.training.train import build

CONFIG = RunConfig(
    n_train=40, redraws=4, n_val=72, n_test=30, n_cells=300, hidden_dim=8, members=1, latent_dim=4, out=Path("unused")
)

OTHERWISE = {"model": 0.01, "poisson_em_cells": 0.02}


@pytest.fixture(scope="module")
def judged() -> Judged:
    """A model that has learned nothing beyond the likelihoods."""
    science, parts = healthy(), three_parts(draw_cells(make_world(1, n_genes=300), 1600, 1), 0)
    prepared, signature = simulate(parts, CONFIG, science), known_signature(parts.train, science)
    estimator = settle(
        build(parts.train, signature, CONFIG, science).eval(), science.emitted, signature, prepared.val, 1
    )
    return judge(estimator, prepared, parts, CONFIG, science, 0.0)


def test_the_second_set_is_the_validation_samples_of_the_references_own_technology(judged: Judged) -> None:
    """Eight studies of three, made anew here: the validation cells and no others, and no gene scaled."""
    parts = three_parts(draw_cells(make_world(1, n_genes=300), 1600, 1), 0)
    assert judged.outcome.population["mae_of_validation"] == judged.elsewhere
    assert set(judged.elsewhere) == {"model", *judged.outcome.baselines}
    errors: dict[str, list[np.ndarray]] = {"constant": [], "poisson_em_cells": []}
    for block in range(8):
        seed, draw = CONFIG.seed + 123 + block, mix_alike if block in {3, 7} else mix
        study = draw(halved(parts.validation, seed), 3, CONFIG.n_cells, CONFIG.alpha, seed)
        found = poisson_em(composition(study.counts), signature_of(parts.train))
        errors["poisson_em_cells"].append(np.abs(found - study.fractions))
        errors["constant"].append(np.abs(1 / 8 - study.fractions))
    for name, each in errors.items():
        assert judged.elsewhere[name] == pytest.approx(np.concatenate(each).mean(), abs=1e-6)


def test_the_verdict_of_a_model_that_loses_tells_of_the_second_set(judged: Judged) -> None:
    lost = replace(judged, compared=[Compared("poisson_em_cells", -0.01, 2, 30, 1e-9)], elsewhere=OTHERWISE)
    assert lost.verdict.startswith("NOT better than poisson_em_cells: 2 of 30 samples better")
    assert lost.verdict.endswith("; on the validation samples 0.0100 beside 0.0200")
