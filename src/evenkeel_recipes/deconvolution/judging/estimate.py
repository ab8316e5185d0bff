"""From bulk samples to proportions, with what a run has trained: the likelihoods, the networks, and their blend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenkeel_recipes.deconvolution.data.mixtures import Signature, adapted, composition, network_input
from evenkeel_recipes.deconvolution.likelihoods.intervals import Calibration, calibrate, interval, strange
from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted
from evenkeel_recipes.deconvolution.likelihoods.study import fit_and_doubt
from evenkeel_recipes.deconvolution.networks.model import BulkInput, Deconvolution
from evenkeel_recipes.deconvolution.training.samples import Split

Array = NDArray[np.float64]
BLENDS = (0.0, 0.25, 0.5)  # a likelihood holds on foreign samples; networks know their training alone
LEVELS = 3  # as many as there are technologies among the validation samples


@dataclass(frozen=True, slots=True)
class Estimator:
    """What estimates proportions.

    Attributes:
        model: the networks.
        emitted: what becomes of their logits.
        signature: of the reference, over all of its genes.
        weights: [networks] float64, of each in the answer, sum to 1; the first is of the last likelihood.
        calibration: of the intervals, and of what is usual.
    """

    model: Deconvolution
    emitted: Callable[[Tensor], Tensor]
    signature: Signature
    weights: Array
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class Estimated:
    """Proportions of samples: [samples, types] float64 each.

    Attributes:
        fractions: of the cells, rows sum to 1.
        shares: of the mRNA, rows sum to 1.
        lower: of the fractions, an interval that holds nine times in ten.
        upper: the same.
        deviance: [samples], how badly the reference explains a sample, in nats a count.
        strange: [samples] bool, beyond what samples of the reference's types show, of this or another technology.
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
    members: int,
) -> Estimator:
    """Choose the weights and calibrate the intervals on validation samples.

    Behind the last likelihood stand networks of one kind or more, `members` of each: one kind has a say.
    """
    each = _by_network(model, emitted, val.fitted, val.view)
    weights = min(
        _candidates(len(each), members), key=lambda tried: float(np.abs(_blended(each, tried) - val.fractions).mean())
    )
    return Estimator(model, emitted, signature, weights, calibrated(model, emitted, weights, val))


def calibrated(model: Deconvolution, emitted: Callable[[Tensor], Tensor], weights: Array, val: Split) -> Calibration:
    """How wide intervals have to be, and what is usual, on samples that the networks have not seen."""
    each = _by_network(model, emitted, val.fitted, val.view)
    return calibrate(_blended(each, weights), val.fractions, val.fitted, LEVELS)


def _candidates(n_networks: int, members: int) -> Iterator[Array]:
    """Weights of which those are taken that validate best."""
    for first in range(1, n_networks, members):
        for blend in BLENDS:
            weights = np.zeros(n_networks)
            weights[0], weights[first : first + members] = 1 - blend, blend / members
            yield weights


def estimate(estimator: Estimator, counts: Array, genes: NDArray[np.int64]) -> Estimated:
    """Proportions of samples that have some of the reference's genes.

    Samples that are given together are taken for one study: what a gene shows more or less of in all of them is laid
    to how they were measured. Give samples of another laboratory by themselves.

    Args:
        estimator: what a run has trained.
        counts: [samples, G'] float64, linear.
        genes: [G'], their positions among the reference's.
    """
    shared = restricted(estimator.signature, genes)
    bulk = composition(counts)
    whole = np.zeros((len(bulk), estimator.signature.composition.shape[1]))
    whole[:, genes] = bulk
    return of_fitted(estimator, fit_and_doubt(bulk, shared), network_input(whole))


def of_fitted(estimator: Estimator, fitted: Fitted, view: NDArray[np.float32]) -> Estimated:
    """The same, where the likelihoods have already been asked."""
    fractions = _blended(_by_network(estimator.model, estimator.emitted, fitted, view), estimator.weights)
    lower, upper = interval(fractions, fitted, estimator.calibration)
    mass = fractions * estimator.signature.content
    shares = mass / mass.sum(1, keepdims=True)
    return Estimated(fractions, shares, lower, upper, fitted.deviance, strange(fitted, estimator.calibration))


def restricted(signature: Signature, genes: NDArray[np.int64]) -> Signature:
    """The signature in some of its genes: what a cell holds of mRNA is then what it holds of these."""
    fewer = Signature(
        signature.composition[:, genes], signature.content, signature.background[genes], signature.variance[:, genes]
    )
    return adapted(fewer, np.ones(len(genes)))


def _by_network(
    model: Deconvolution, emitted: Callable[[Tensor], Tensor], fitted: Fitted, view: NDArray[np.float32]
) -> Array:
    given = BulkInput(
        torch.from_numpy(fitted.estimates).float(), torch.from_numpy(fitted.misfit).float(), torch.from_numpy(view)
    )
    with torch.no_grad():
        return np.asarray(emitted(model.logits(given)).double().softmax(-1).numpy())


def _blended(each: Array, weights: Array) -> Array:
    """[networks, samples, types] to [samples, types]."""
    return np.asarray(np.tensordot(weights, each, axes=1))
