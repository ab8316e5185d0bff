"""A trained estimator beside the baselines, on mixtures of cells that nobody trained on."""

from __future__ import annotations

import time

import numpy as np
import torch

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import composition, signature_of
from evenkeel_recipes.deconvolution.data.reference import Parts
from evenkeel_recipes.deconvolution.judging.estimate import Estimator, of_fitted
from evenkeel_recipes.deconvolution.judging.evaluate import baselines, by_type, compare, outcome
from evenkeel_recipes.deconvolution.judging.report import Judged
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.deconvolution.training.samples import Prepared


def judge(
    estimator: Estimator, prepared: Prepared, parts: Parts, config: RunConfig, science: Science, began: float
) -> Judged:
    """Scores on mixtures of cells that neither training nor choosing has seen, beside the baselines."""
    test = prepared.test
    estimated = of_fitted(estimator, test.fitted, test.view)
    bulk = composition(science.bulk_target(torch.from_numpy(test.view)).double().numpy())
    simple = baselines(bulk, signature_of(parts.train), prepared.train.fractions.mean(0))
    notes = {
        "unit": f"pseudo-bulk samples of cells held out by {parts.unit}",
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
    )
