"""Deconvolution by a quasi-likelihood whose variance grows with the square of the mean as well.

A platform measures each gene with a factor of its own, so the error of a gene that is seen often is a share of it, not
its square root. A Poisson likelihood believes such genes far too much; with the variance m/N + φ·m² + Σ q²·v it does
not. The last term is how uncertain the signature is, which the spread of the reference's cells tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.likelihoods.baselines import cell_fractions, variance_of_fractions

Array = NDArray[np.float64]
DEPTH = 1e5  # N: counts a bulk sample, or the cells of a type, are believed to stand for
REWEIGHTINGS = 3
SWEEPS = 30
MEDIAN_OF_CHI2 = 0.455  # with one degree of freedom
FAR = 6.0  # deviations, from which on a gene shows something that the reference lacks
LEAST_DISPERSION = 1e-3  # beside which none has a logarithm
CONVEX = 0.9  # of the correction that would leave no single minimum
TINY = 1e-12  # beside 1
DAMPING = 1e-3  # of a curvature that is inverted
OUTLYING = 2.0  # deviations, from which on a gene's residual counts in proportion and no longer in square
ENOUGH_GENES = 500
SAMPLES_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Belief:
    """How a likelihood takes the errors.

    Attributes:
        dispersion: φ, of genes in the bulk.
        corrected: which share of what the noise of the signature adds to the curvature is taken off again. Noise in
            the regressors draws estimates of similar types towards one another.
    """

    dispersion: float
    corrected: float


BELIEFS = (  # of the reference's technology, and of quite another one; the last: a signature made of few cells
    Belief(0.0, 0.0),
    Belief(0.03, 0.0),
    Belief(0.1, 0.0),
    Belief(0.03, 0.7),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the likelihoods say about bulk samples.

    Attributes:
        estimates: [samples, beliefs, types] float64, cell fractions.
        misfit: [samples] float64, log of the overdispersion that the samples show.
        foreign: [samples] float64, the same before the genes of a study were brought to the reference's scale.
        together: [samples] int64, with how many samples that was done; 1: not at all.
        outlying: [samples] float64, the share of genes that show far more than the reference explains.
        deviance: [samples] float64, Σ b·log(b/m) over genes, in nats a count.
        variance: [samples, types] float64, of the cell fractions, from the residuals of the genes.
    """

    estimates: Array
    misfit: Array
    foreign: Array
    together: NDArray[np.int64]
    outlying: Array
    deviance: Array
    variance: Array


def fit_all(bulk: Array, signature: Signature) -> Fitted:
    """The estimates by all beliefs, and how well they fit; each sample by itself.

    Args:
        bulk: [samples, genes] float64, rows sum to 1.
        signature: of the same genes.

    Cost: O(samples · genes · types²) for each belief; 250 samples at a time.
    """
    return joined([_fit_some(piece, signature) for piece in pieces(bulk)])


def pieces(bulk: Array) -> Iterator[Array]:
    """Samples in portions that fit into memory with all that is made of them."""
    return (bulk[start : start + SAMPLES_AT_ONCE] for start in range(0, len(bulk), SAMPLES_AT_ONCE))


def joined(parts: Sequence[Fitted]) -> Fitted:
    """Samples after samples."""
    return Fitted(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Fitted)))


def _fit_some(bulk: Array, signature: Signature) -> Fitted:
    shares = [quasi_likelihood(bulk, signature, belief) for belief in BELIEFS]
    mean_shares = np.mean(shares, axis=0)
    expected = mean_shares @ signature.composition
    misfit = np.log(overdispersion(bulk, expected) + LEAST_DISPERSION)
    variance = _variance(expected, np.exp(misfit)[:, None], mean_shares, signature)
    residuals = (bulk - expected) / np.sqrt(variance)
    return Fitted(
        estimates=np.stack([cell_fractions(share, signature.content) for share in shares], axis=1),
        misfit=misfit,
        foreign=misfit,
        together=np.ones(len(bulk), np.int64),
        outlying=(residuals > FAR * _usual(np.abs(residuals))).mean(1),
        deviance=(xlogy(bulk, bulk) - bulk * np.log(expected)).sum(1),
        variance=variance_of_fractions(_sandwich(bulk, signature, shares[-1]), shares[-1], signature.content),
    )


def quasi_likelihood(bulk: Array, signature: Signature, belief: Belief) -> Array:
    """Shares of mRNA [samples, types] that solve the estimating equations of a belief.

    Weighted least squares with coefficients from 0 up, re-weighted three times, from equal shares; each one is
    solved by 30 sweeps over its coordinates. Stopping there leaves ill-determined types near one another, which costs
    less than what a search to the end gains.
    """
    shares = explained(bulk, signature, belief)
    return np.asarray(shares / shares.sum(1, keepdims=True))


def explained(bulk: Array, signature: Signature, belief: Belief) -> Array:
    """The same before rows sum to 1: less where a gene that is far out has taken a part of the sample."""
    n_types = len(signature.composition)
    shares = np.full((len(bulk), n_types), 1 / n_types)
    for _ in range(REWEIGHTINGS):
        shares = reweighted(bulk, signature, belief, shares)
    return shares


def reweighted(bulk: Array, signature: Signature, belief: Belief, shares: Array) -> Array:
    """The least squares with weights from these shares [samples, types], solved from there; rows need not sum to 1."""
    weights = _weights(bulk, signature, belief, shares)
    curvature = _products(weights, signature)
    if belief.corrected > 0:
        take_off(curvature, weights @ signature.variance.T, belief.corrected)
    return _coordinate_descent(curvature, (weights * bulk) @ signature.composition.T, shares)


def _sandwich(bulk: Array, signature: Signature, shares: Array) -> Array:
    """Covariance [samples, types, types] of the shares that solve the last belief's equations.

    H⁻¹·(Σ w²·r²·s·s')·H⁻¹ with the residuals r that there are (H. White, 1980): errors of the genes are taken for
    independent and for nothing else, so that depth, another platform and noise of the signature all count.
    """
    weights = _weights(bulk, signature, BELIEFS[-1], shares)
    curvature = _products(weights, signature)
    damp(curvature)
    inverse = np.linalg.inv(curvature)
    noise = _products((weights * (bulk - shares @ signature.composition)) ** 2, signature)
    return np.asarray(inverse @ noise @ inverse)


def damp(curvature: Array) -> None:
    """Make the diagonal [..., n, n] a thousandth larger, in place: types that resemble one another have an inverse.

    So has a type that no sample shows: it gets 1e-12 of the largest.
    """
    diagonal = np.einsum("...kk->...k", curvature)
    diagonal += DAMPING * diagonal + TINY * diagonal.max(-1, keepdims=True)


def _weights(bulk: Array, signature: Signature, belief: Belief, shares: Array) -> Array:
    """Of the genes of each sample [samples, genes]; of the size of 1/composition."""
    mean = shares @ signature.composition
    variance = DEPTH * _variance(mean, belief.dispersion, shares, signature)
    weights: Array = _withstanding(np.abs(bulk - mean) / np.sqrt(variance)) / variance
    return weights


def _products(weights: Array, signature: Signature) -> Array:
    """Σ w·s·s' over genes: [samples, types, types]."""
    composition = signature.composition
    first, second = np.triu_indices(len(composition))
    found = np.empty((len(weights), len(composition), len(composition)))
    found[:, first, second] = found[:, second, first] = weights @ (composition[first] * composition[second]).T
    return found


def _variance(mean: Array, dispersion: Array | float, shares: Array, signature: Signature) -> Array:
    """Of the composition of a sample: m/N + φ·m² + Σ q²·v."""
    return np.asarray(mean / DEPTH + dispersion * mean * mean + (shares * shares) @ signature.variance)


def _withstanding(residuals: Array) -> Array:
    """Huber's weights of standardised residuals [samples, genes]: a gene of what the reference lacks counts less."""
    bound = OUTLYING * _usual(residuals)
    weights: Array = bound / np.maximum(residuals, bound)
    return weights


def _usual(residuals: Array) -> Array:
    """The deviation [samples, 1] of most of the residuals of a sample, which are given without their sign."""
    some = residuals[:, :: -(-residuals.shape[1] // ENOUGH_GENES)]  # a median is slow and need not be exact
    return np.asarray(np.median(some, axis=1, keepdims=True) / np.sqrt(MEDIAN_OF_CHI2) + TINY)


def take_off(curvature: Array, noise: Array, most: float) -> None:
    """Take a share of the noise [samples, types] off the diagonal, in place: at most `most`, and a minimum is left.

    H - c·diag(noise) has one while c is below the least eigenvalue of H in units of the noise.
    """
    diagonal = np.einsum("nkk->nk", curvature)
    unit = 1 / np.sqrt(noise + TINY * diagonal)  # a type without noise is no limit
    least = np.linalg.eigvalsh(curvature * unit[:, :, None] * unit[:, None, :])[:, :1]
    diagonal[:] -= np.minimum(most, CONVEX * least) * noise


def _coordinate_descent(curvature: Array, slope: Array, start: Array) -> Array:
    """Minimise ½·q'Hq - h'q over q >= 0 for many samples at once."""
    shares: Array = start.copy()
    for _ in range(SWEEPS):
        for kind in range(shares.shape[1]):
            residual = slope[:, kind] - np.einsum("nk,nk->n", curvature[:, kind], shares)
            shares[:, kind] = np.maximum(shares[:, kind] + residual / curvature[:, kind, kind], 0)
    return shares


def overdispersion(bulk: Array, expected: Array) -> Array:
    """φ of each sample, robustly: the median of ((b - m)/m)² over genes, as a multiple of the median of χ²(1)."""
    squared: Array = ((bulk - expected) / expected) ** 2
    return np.asarray(np.median(squared, axis=1) / MEDIAN_OF_CHI2)
