"""Deconvolution by a quasi-likelihood whose variance grows with the square of the mean as well.

A platform measures each gene with a factor of its own, so the error of a gene that is seen often is a share of it, not
its square root. A Poisson likelihood believes such genes far too much; with the variance m/N + φ·m² it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from evenkeel_recipes.deconvolution.estimators import cell_fractions
from evenkeel_recipes.deconvolution.mixtures import Signature

Array = NDArray[np.float64]
DISPERSIONS = (0.0, 0.03, 0.1)  # φ: from one technology to quite another one than the reference's
DEPTH = 1e5  # N: counts a bulk sample, or the cells of a type, are believed to stand for
REWEIGHTINGS = 3
SWEEPS = 30
MEDIAN_OF_CHI2 = 0.455  # with one degree of freedom
SAMPLES_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the likelihoods say about bulk samples.

    Attributes:
        estimates: [samples, dispersions, types] float64, cell fractions.
        misfit: [samples] float64, log of the overdispersion that the samples show.
        deviance: [samples] float64, Σ b·log(b/m) over genes, in nats a count.
    """

    estimates: Array
    misfit: Array
    deviance: Array


def fit_all(bulk: Array, signature: Signature) -> Fitted:
    """The estimates at all dispersions, and how well they fit.

    Args:
        bulk: [samples, genes] float64, rows sum to 1.
        signature: of the same genes.

    Cost: O(samples · genes · types²) for each dispersion; 2,000 samples at a time.
    """
    pieces = [
        _fit_some(bulk[start : start + SAMPLES_AT_ONCE], signature) for start in range(0, len(bulk), SAMPLES_AT_ONCE)
    ]
    return joined(pieces)


def joined(pieces: Sequence[Fitted]) -> Fitted:
    """Samples after samples."""
    return Fitted(
        np.concatenate([piece.estimates for piece in pieces]),
        np.concatenate([piece.misfit for piece in pieces]),
        np.concatenate([piece.deviance for piece in pieces]),
    )


def _fit_some(bulk: Array, signature: Signature) -> Fitted:
    shares = [quasi_likelihood(bulk, signature.composition, dispersion) for dispersion in DISPERSIONS]
    expected = np.mean(shares, axis=0) @ signature.composition
    estimates = np.stack([cell_fractions(share, signature.content) for share in shares], axis=1)
    deviance = (xlogy(bulk, bulk) - bulk * np.log(expected)).sum(1)
    return Fitted(estimates, np.log(overdispersion(bulk, expected) + 1e-3), deviance)


def quasi_likelihood(bulk: Array, composition: Array, dispersion: float) -> Array:
    """Shares of mRNA [samples, types] that solve the estimating equations with the variance m/N + φ·m².

    Weighted least squares with coefficients from 0 up, re-weighted three times, from equal shares; each one is
    solved by 30 sweeps over its coordinates. Stopping there leaves ill-determined types near one another, which costs
    less than what a search to the end gains.
    """
    n_types = len(composition)
    first, second = np.triu_indices(n_types)
    products = (composition[first] * composition[second]).T.copy()
    shares = np.full((len(bulk), n_types), 1 / n_types)
    for _ in range(REWEIGHTINGS):
        mean = shares @ composition
        weights = 1 / (mean + DEPTH * dispersion * mean * mean)
        curvature = np.empty((len(bulk), n_types, n_types))
        curvature[:, first, second] = curvature[:, second, first] = weights @ products
        _coordinate_descent(curvature, (weights * bulk) @ composition.T, shares)
    return np.asarray(shares / shares.sum(1, keepdims=True))


def _coordinate_descent(curvature: Array, slope: Array, shares: Array) -> None:
    """Minimise ½·q'Hq - h'q over q >= 0, in place, for many samples at once."""
    for _ in range(SWEEPS):
        for kind in range(shares.shape[1]):
            residual = slope[:, kind] - np.einsum("nk,nk->n", curvature[:, kind], shares)
            shares[:, kind] = np.maximum(shares[:, kind] + residual / curvature[:, kind, kind], 0)


def overdispersion(bulk: Array, expected: Array) -> Array:
    """φ of each sample, robustly: the median of ((b - m)/m)² over genes, as a multiple of the median of χ²(1)."""
    return np.asarray(np.median(((bulk - expected) / expected) ** 2, axis=1) / MEDIAN_OF_CHI2)
