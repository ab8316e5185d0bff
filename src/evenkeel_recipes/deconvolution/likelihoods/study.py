"""What samples of one study have in common: a factor for each gene, of length, protocol and mapping.

The factors are estimated together with the proportions. One sample cannot tell them from its proportions; several
with different proportions can: a factor is off by the same share in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.data.mixtures import Signature, adapted
from evenkeel_recipes.deconvolution.likelihoods.baselines import variance_of_fractions
from evenkeel_recipes.deconvolution.likelihoods.likelihood import (
    DEPTH,
    LEAST_DISPERSION,
    MEDIAN_OF_CHI2,
    TINY,
    Belief,
    Fitted,
    damp,
    explained,
    fit_all,
    overdispersion,
    pieces,
    quasi_likelihood,
    reweighted,
)

Array = NDArray[np.float64]
LEAST_SAMPLES = 5  # of which a factor is estimated
MOST_SAMPLES = 500  # that is done with
ROUNDS = 15
OUTLYING = 3.0  # deviations, from which on a sample counts in proportion for the factor of a gene, no longer in square
BELIEF = Belief(0.03, 0.0)
FOREIGN = 4.0  # variance of the mean residual, in units of what the signature's own noise explains: cells are others


@dataclass(frozen=True, slots=True)
class Factors:
    """What a study does to genes.

    Attributes:
        values: [genes] float64, above 0: how much more of a gene the samples show than the reference does; about 1.
        doubt: [genes] float64, variance of what the samples have in common, as a share of the gene, before they were
            looked at: of the factors, and of the noise of the signature.
    """

    values: Array
    doubt: Array


def fit_study(bulk: Array, signature: Signature) -> Fitted:
    """What the likelihoods say about samples measured in one way, after the genes were brought to a common scale.

    Args:
        bulk: [samples, genes] float64, rows sum to 1; fewer than five are taken each by itself.
        signature: of the same genes.
    """
    return _fit_with(bulk, signature, gene_factors(bulk, signature)) if _are_enough(bulk) else fit_all(bulk, signature)


def fit_and_doubt(bulk: Array, signature: Signature) -> Fitted:
    """The same; the variance holds what all samples have in common as well, see `variance_in_common`."""
    if not _are_enough(bulk):
        return fit_all(bulk, signature)
    factors = gene_factors(bulk, signature)
    fitted, brought = _fit_with(bulk, signature, factors), adapted(signature, factors.values)
    shared = variance_in_common(bulk, _shares(fitted, brought), brought, factors.doubt)
    return replace(fitted, variance=fitted.variance + shared)


def _are_enough(bulk: Array) -> bool:
    return len(bulk) >= LEAST_SAMPLES


def _fit_with(bulk: Array, signature: Signature, factors: Factors) -> Fitted:
    foreign = np.concatenate([_foreign(piece, signature) for piece in pieces(bulk)])
    fitted = fit_all(bulk, adapted(signature, factors.values))
    return replace(fitted, foreign=foreign, together=np.full(len(bulk), len(bulk)))


def gene_factors(bulk: Array, signature: Signature) -> Factors:
    """The factors of samples that were measured in one way.

    Alternates between the factors and the shares of mRNA. A factor is drawn towards 1 by as much as noise, within the
    samples and of the signature, accounts for the mean residuals: where noise explains all of them it is 1. What one
    sample has of its own, such as a gene that drowns all others, moves neither the factors nor its neighbours' shares.

    Args:
        bulk: [samples, genes] float64, rows sum to 1; at least two.
        signature: of the same genes.

    Cost: that of about one and a half times `fit_all`, of 500 samples at most.
    """
    factors = Factors(np.ones(bulk.shape[1]), np.zeros(bulk.shape[1]))
    some = _some(bulk)
    shares = explained(some, signature, BELIEF)
    for _ in range(ROUNDS):
        factors = _factors(some, shares, signature, factors.values)
        shares = reweighted(some, adapted(signature, factors.values), BELIEF, shares)
    return factors


def variance_in_common(bulk: Array, shares: Array, signature: Signature, doubt: Array) -> Array:
    """Variance [samples, types] of cell fractions, of errors that all samples share.

    Where samples are much alike, or a type shows in genes of its own alone, factors of genes and proportions tell the
    same story: shares A·q fit as well as q. The covariance of A is the inverse of its information once the factors,
    whose variance was `doubt`, have been taken out; with samples that differ it is small.

    Args:
        bulk: [samples, genes] float64, rows sum to 1.
        shares: [samples, types] float64, of mRNA.
        signature: as the samples show it.
        doubt: [genes], as of `Factors`.

    Cost: O(genes · types⁴ + types⁶): 0.03 s for 8 types, a third of a second for 25, a dozen for 60.
    """
    n_types = len(signature.composition)
    information = _information(_some(bulk), _some(shares), signature.composition, doubt)
    damp(information)
    covariance = np.linalg.inv(information).reshape((n_types,) * 4)  # of A[j, a] and A[k, b]: j, a, k, b
    pairs = (shares[:, :, None] * shares[:, None, :]).reshape(len(shares), -1)
    each = pairs @ covariance.transpose(1, 3, 0, 2).reshape(n_types**2, -1)
    return variance_of_fractions(each.reshape(-1, n_types, n_types), shares, signature.content)


def _information(bulk: Array, shares: Array, composition: Array, doubt: Array) -> Array:
    """Of A [types², types²]: Σ over genes of s·s' ⊗ C, and C what the samples tell beside a factor of the gene.

    C = (Σ q·q'/m² - (Σ q/m)·(Σ q/m)' / (n + v/doubt)) / v, where v is the gene's relative variance within the samples.
    """
    n_types, n_genes = composition.shape
    mean = shares @ composition
    within = (((bulk - mean) / mean) ** 2).mean(0) + 1 / (DEPTH * mean.mean(0))
    pairs = (shares[:, :, None] * shares[:, None, :]).reshape(len(shares), -1)
    squares = (mean**-2.0).T @ pairs
    first = (1 / mean).T @ shares
    taken = first[:, :, None] * first[:, None, :] / (len(shares) + within / doubt)[:, None, None]
    told = (squares - taken.reshape(n_genes, -1)) / within[:, None]
    alike = (composition[:, None] * composition[None]).reshape(n_types**2, n_genes)
    each = (alike @ told).reshape((n_types,) * 4)  # j, k, a, b
    return np.asarray(each.transpose(0, 2, 1, 3).reshape(n_types**2, n_types**2))


def _some(samples: Array) -> Array:
    """500 of them at most."""
    return samples[:: -(-len(samples) // MOST_SAMPLES)]


def _shares(fitted: Fitted, signature: Signature) -> Array:
    """Shares of mRNA by the last belief."""
    mass = fitted.estimates[:, -1] * signature.content
    return np.asarray(mass / mass.sum(1, keepdims=True))


def _foreign(bulk: Array, signature: Signature) -> Array:
    """Log of the overdispersion beside the signature as it is."""
    expected = quasi_likelihood(bulk, signature, BELIEF) @ signature.composition
    return np.asarray(np.log(overdispersion(bulk, expected) + LEAST_DISPERSION))


def _factors(bulk: Array, shares: Array, signature: Signature, factors: Array) -> Factors:
    """Posterior means of the factors, whose variance τ² is that of the residuals beyond their noise."""
    seen_as = adapted(signature, factors)
    expected = shares @ seen_as.composition
    weights = _trust(bulk, expected)
    total = (weights * expected).sum(0)
    ratio = (weights * bulk).sum(0) / total
    within = ((weights * (bulk - ratio * expected)) ** 2).sum(0) / total**2 * len(bulk) / (len(bulk) - 1)
    own = (shares.mean(0) ** 2) @ seen_as.variance / expected.mean(0) ** 2
    noise = within + FOREIGN * own + 1 / (DEPTH * total)  # the last: a gene that no sample shows has no spread
    raw = factors * ratio
    raw = raw / np.median(raw[raw > 0])
    logs = np.log(raw[raw > 0])
    prior = max(float(np.median(logs**2 - MEDIAN_OF_CHI2 * noise[raw > 0])) / MEDIAN_OF_CHI2, 1e-6)
    return Factors((prior * raw + noise) / (prior + noise), prior + FOREIGN * own)


def _trust(bulk: Array, expected: Array) -> Array:
    """Huber's weights [samples, genes] of the samples, for each gene beside its deviations in most of them."""
    residuals = np.abs(bulk - expected) / np.sqrt(expected / DEPTH + BELIEF.dispersion * expected * expected)
    bound = OUTLYING * np.median(residuals, axis=0) / np.sqrt(MEDIAN_OF_CHI2) + TINY
    return np.asarray(bound / np.maximum(residuals, bound))
