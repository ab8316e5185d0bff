"""From bulk samples to proportions, with what a run has trained: the likelihoods, the networks, and their blend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenkeel_recipes.deconvolution.intervals import Calibration, calibrate, interval
from evenkeel_recipes.deconvolution.likelihood import Fitted, fit_all
from evenkeel_recipes.deconvolution.mixtures import Signature, composition, network_input
from evenkeel_recipes.deconvolution.model import BulkInput, Deconvolution
from evenkeel_recipes.deconvolution.prepare import Split

Array = NDArray[np.float64]
BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
USUAL = 0.99  # of samples like the reference are not flagged
LEVELS = 3  # of misfit, as many as there are technologies among the validation samples


@dataclass(frozen=True, slots=True)
class Estimator:
    """What estimates proportions.

    Attributes:
        model: the networks.
        emitted: what becomes of their logits.
        signature: of the reference, over all of its genes.
        blend: the weight of the networks beside the weighted likelihoods.
        calibration: of the intervals.
        limit: the deviance that one sample in a hundred of the reference's own kind exceeds, in nats a count.
    """

    model: Deconvolution
    emitted: Callable[[Tensor], Tensor]
    signature: Signature
    blend: float
    calibration: Calibration
    limit: float


@dataclass(frozen=True, slots=True)
class Estimated:
    """Proportions of samples: [samples, types] float64 each.

    Attributes:
        fractions: of the cells, rows sum to 1.
        shares: of the mRNA, rows sum to 1.
        lower: of the fractions, an interval that holds nine times in ten.
        upper: the same.
        deviance: [samples], how badly the reference explains a sample, in nats a count.
        strange: [samples] bool, beyond what samples of the reference's own kind show.
    """

    fractions: Array
    shares: Array
    lower: Array
    upper: Array
    deviance: Array
    strange: NDArray[np.bool_]


def settle(
    model: Deconvolution,
    emitted: Callable[[Tensor], Tensor],
    signature: Signature,
    val: Split,
    plain: int,
) -> Estimator:
    """Choose the blend and calibrate the intervals on validation samples.

    The first `plain` of them were measured by the reference's own technology.
    """
    each = _by_network(model, emitted, val.fitted, val.view)
    blend = min(BLENDS, key=lambda weight: float(np.abs(_blended(each, weight) - val.fractions).mean()))
    calibration = calibrate(_blended(each, blend), val.fractions, val.fitted.misfit, LEVELS)
    limit = float(np.quantile(val.fitted.deviance[:plain], USUAL))
    return Estimator(model, emitted, signature, blend, calibration, limit)


def estimate(estimator: Estimator, counts: Array, genes: NDArray[np.int64]) -> Estimated:
    """Proportions of samples that have some of the reference's genes.

    Args:
        estimator: what a run has trained.
        counts: [samples, G'] float64, linear.
        genes: [G'], their positions among the reference's.
    """
    shared = restricted(estimator.signature, genes)
    bulk = composition(counts)
    whole = np.zeros((len(bulk), estimator.signature.composition.shape[1]))
    whole[:, genes] = bulk
    return of_fitted(estimator, fit_all(bulk, shared), network_input(whole))


def of_fitted(estimator: Estimator, fitted: Fitted, view: NDArray[np.float32]) -> Estimated:
    """The same, where the likelihoods have already been asked."""
    fractions = _blended(_by_network(estimator.model, estimator.emitted, fitted, view), estimator.blend)
    lower, upper = interval(fractions, fitted.misfit, estimator.calibration)
    mass = fractions * estimator.signature.content
    shares = mass / mass.sum(1, keepdims=True)
    return Estimated(fractions, shares, lower, upper, fitted.deviance, fitted.deviance > estimator.limit)


def restricted(signature: Signature, genes: NDArray[np.int64]) -> Signature:
    """The signature in some of its genes: what a cell holds of mRNA is then what it holds of these."""
    kept = signature.composition[:, genes]
    background = signature.background[genes]
    share = kept.sum(1)
    return Signature(kept / share[:, None], signature.content * share, background / background.sum())


def _by_network(
    model: Deconvolution, emitted: Callable[[Tensor], Tensor], fitted: Fitted, view: NDArray[np.float32]
) -> Array:
    given = BulkInput(
        torch.from_numpy(fitted.estimates).float(), torch.from_numpy(fitted.misfit).float(), torch.from_numpy(view)
    )
    with torch.no_grad():
        return np.asarray(emitted(model.logits(given)).double().softmax(-1).numpy())


def _blended(each: Array, weight: float) -> Array:
    """[networks, samples, types] to [samples, types]."""
    return np.asarray((1 - weight) * each[0] + weight * each[1:].mean(0))
