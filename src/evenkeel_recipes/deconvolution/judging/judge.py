"""A trained estimator beside the baselines, on mixtures of cells that nobody trained on."""

from __future__ import annotations

import time

import numpy as np
import torch
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import composition, signature_of
from evenkeel_recipes.deconvolution.data.reference import Parts
from evenkeel_recipes.deconvolution.judging.estimate import Estimator, of_fitted
from evenkeel_recipes.deconvolution.judging.evaluate import baselines, by_type, compare, outcome
from evenkeel_recipes.deconvolution.judging.report import Judged
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.deconvolution.training.samples import Prepared, of_own_technology

Array = NDArray[np.float64]


def judge(
    estimator: Estimator, prepared: Prepared, parts: Parts, config: RunConfig, science: Science, began: float
) -> Judged:
    """Scores on mixtures of cells that neither training nor choosing has seen, beside the baselines."""
    test = prepared.test
    estimated = of_fitted(estimator, test.fitted, test.view)
    simple = _beside(test.view, prepared, parts, science)
    elsewhere = _on_validation(estimator, prepared, parts, config, science)
    notes = {
        "unit": f"pseudo-bulk samples of cells held out by {parts.unit}",
        "cells_held_out": len(parts.test.labels),
        "mae_of_validation": elsewhere,
        "genes": len(parts.train.genes),
        "networks_weight": float(estimator.weights[1:].sum()),
        "faults": list(config.fault),
    }
    return Judged(
        outcome=outcome(estimated, simple, test.fractions, time.monotonic() - began, config.seed, notes),
        estimated=estimated,
        truth=test.fractions,
        samples=np.array([f"test{row}" for row in range(len(test.fractions))]),
        types=by_type(estimated.fractions, test.fractions, parts.train.types),
        compared=compare(estimated.fractions, simple, test.fractions),
        elsewhere=elsewhere,
    )


def _beside(view: NDArray[np.float32], prepared: Prepared, parts: Parts, science: Science) -> dict[str, Array]:
    """What the simple methods make of samples."""
    bulk = composition(science.bulk_target(torch.from_numpy(view)).double().numpy())
    return baselines(bulk, signature_of(parts.train), prepared.train.fractions.mean(0))


def _on_validation(
    estimator: Estimator, prepared: Prepared, parts: Parts, config: RunConfig, science: Science
) -> dict[str, float]:
    """Mean absolute errors on the validation samples of the reference's own technology: other cells, other donors.

    All test samples are mixed from a few cells, often of one donor, so that whatever is odd about these is in all of
    them; a second set tells whether that decides who wins.
    """
    own = slice(of_own_technology(config))
    val = prepared.val
    simple = _beside(val.view[own], prepared, parts, science)
    every = {"model": of_fitted(estimator, val.fitted, val.view).fractions[own], **simple}
    return {name: float(np.abs(found - val.fractions[own]).mean()) for name, found in every.items()}
