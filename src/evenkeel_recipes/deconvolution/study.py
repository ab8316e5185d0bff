"""What samples of one study have in common: a factor for each gene, of length, protocol and mapping.

The factors are estimated together with the proportions. One sample cannot tell them from its proportions; several
with different proportions can: a factor is off by the same share in all of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.likelihood import (
    DEPTH,
    LEAST_DISPERSION,
    MEDIAN_OF_CHI2,
    Belief,
    Fitted,
    fit_all,
    overdispersion,
    pieces,
    quasi_likelihood,
    reweighted,
)
from evenkeel_recipes.deconvolution.mixtures import Signature, adapted

Array = NDArray[np.float64]
LEAST_SAMPLES = 5  # of which a factor is estimated
MOST_SAMPLES = 500  # that is done with
ROUNDS = 15
BELIEF = Belief(0.03, 0.0)
FOREIGN = 4.0  # variance of the mean residual, in units of what the signature's own noise explains: cells are others


def fit_study(bulk: Array, signature: Signature) -> Fitted:
    """What the likelihoods say about samples measured in one way, after the genes were brought to a common scale.

    Args:
        bulk: [samples, genes] float64, rows sum to 1; fewer than five are taken each by itself.
        signature: of the same genes.
    """
    if len(bulk) < LEAST_SAMPLES:
        return fit_all(bulk, signature)
    fitted = fit_all(bulk, adapted(signature, gene_factors(bulk, signature)))
    foreign = np.concatenate([_foreign(piece, signature) for piece in pieces(bulk)])
    return replace(fitted, foreign=foreign, together=np.full(len(bulk), len(bulk)))


def gene_factors(bulk: Array, signature: Signature) -> Array:
    """[genes] float64, above 0: how much more of a gene these samples show than the reference does; about 1.

    Alternates between the factors and the shares of mRNA. A factor is drawn towards 1 by as much as noise, within the
    samples and of the signature, accounts for the mean residuals: where noise explains all of them it is 1.

    Args:
        bulk: [samples, genes] float64, rows sum to 1; at least two.
        signature: of the same genes.

    Cost: that of about one and a half times `fit_all`, of 500 samples at most.
    """
    factors = np.ones(bulk.shape[1])
    some = bulk[:: -(-len(bulk) // MOST_SAMPLES)]
    shares = quasi_likelihood(some, signature, BELIEF)
    for _ in range(ROUNDS):
        factors = _factors(some, shares, signature, factors)
        shares = reweighted(some, adapted(signature, factors), BELIEF, shares)
        shares /= shares.sum(1, keepdims=True)
    return factors


def _foreign(bulk: Array, signature: Signature) -> Array:
    """Log of the overdispersion beside the signature as it is."""
    expected = quasi_likelihood(bulk, signature, BELIEF) @ signature.composition
    return np.asarray(np.log(overdispersion(bulk, expected) + LEAST_DISPERSION))


def _factors(bulk: Array, shares: Array, signature: Signature, factors: Array) -> Array:
    """Posterior means of the factors, whose variance τ² is that of the residuals beyond their noise."""
    seen_as = adapted(signature, factors)
    expected = shares @ seen_as.composition
    total = expected.sum(0)
    ratio = bulk.sum(0) / total
    within = ((bulk - ratio * expected) ** 2).sum(0) / total**2 * len(bulk) / (len(bulk) - 1)
    own = (shares.mean(0) ** 2) @ seen_as.variance / expected.mean(0) ** 2
    noise = within + FOREIGN * own + 1 / (DEPTH * total)  # the last: a gene that no sample shows has no spread
    raw = factors * ratio
    raw = raw / np.median(raw[raw > 0])
    logs = np.log(raw[raw > 0])
    prior = max(float(np.median(logs**2 - MEDIAN_OF_CHI2 * noise[raw > 0])) / MEDIAN_OF_CHI2, 1e-6)
    return np.asarray((prior * raw + noise) / (prior + noise))
