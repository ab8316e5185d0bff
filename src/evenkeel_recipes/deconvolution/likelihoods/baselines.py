"""Deconvolution by a linear model of the bulk: what the network is measured against, and what it starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from evenkeel_recipes.deconvolution.data.mixtures import TARGET_SUM, Signature

Array = NDArray[np.float64]
Estimator = Callable[[Array, Signature], Array]
UPDATES = 200


def cell_fractions(shares: Array, content: Array) -> Array:
    """From shares of the mRNA [samples, types] to fractions of the cells."""
    cells = shares / content
    return np.asarray(cells / cells.sum(1, keepdims=True))


def variance_of_fractions(covariance: Array, shares: Array, content: Array) -> Array:
    """What an error of shares of mRNA is in fractions of cells, to first order.

    Args:
        covariance: [samples, types, types], of the shares.
        shares: [samples, types], rows sum to 1.
        content: [types].

    Returns: [samples, types], from 0 up.
    """
    fractions = cell_fractions(shares, content)
    cells = (shares / content).sum(1)
    slope = (np.eye(len(content)) - fractions[:, :, None]) / content / cells[:, None, None]
    return np.asarray(np.maximum(np.einsum("nkj,nji,nki->nk", slope, covariance, slope, optimize=True), 0))


def constant(bulk: Array, signature: Signature) -> Array:
    """Every type alike."""
    n_types = len(signature.content)
    return np.full((len(bulk), n_types), 1 / n_types)


def nnls_linear(bulk: Array, signature: Signature) -> Array:
    """Least squares with coefficients from 0 up, on compositions; shares of mRNA taken for cells."""
    return _least_squares(bulk, signature.composition, np.ones(bulk.shape[1]))


def nnls_log(bulk: Array, signature: Signature) -> Array:
    """The same on log1p of counts per ten thousand, where mixing is not linear: a frequent mistake."""
    return _least_squares(
        np.log1p(TARGET_SUM * bulk), np.log1p(TARGET_SUM * signature.composition), np.ones(bulk.shape[1])
    )


def nnls_poisson(bulk: Array, signature: Signature) -> Array:
    """Least squares weighted by the inverse of a Poisson deviation, in counts per million."""
    return _least_squares(bulk, signature.composition, _poisson_weights(signature))


def nnls_poisson_cells(bulk: Array, signature: Signature) -> Array:
    """The same, then corrected for the mRNA content of the types."""
    return cell_fractions(nnls_poisson(bulk, signature), signature.content)


def poisson_em_shares(bulk: Array, signature: Signature) -> Array:
    """Maximum likelihood of multinomial counts by 200 updates q <- q * (S^T (b / (S q))), from equal shares.

    The likelihood grows with each update. Returns shares of mRNA: [samples, types] float64, rows sum to 1.
    """
    mixing = signature.composition
    shares = np.full((len(bulk), len(mixing)), 1 / len(mixing))
    for _ in range(UPDATES):
        shares *= (bulk / (shares @ mixing)) @ mixing.T
        shares /= shares.sum(1, keepdims=True)
    return shares


def poisson_em(bulk: Array, signature: Signature) -> Array:
    """Maximum likelihood of multinomial counts, corrected for the mRNA content of the types."""
    return cell_fractions(poisson_em_shares(bulk, signature), signature.content)


BASELINES: Mapping[str, Estimator] = {
    "constant": constant,
    "nnls": nnls_linear,
    "nnls_log1p": nnls_log,
    "nnls_poisson": nnls_poisson,
    "nnls_poisson_cells": nnls_poisson_cells,
    "poisson_em_cells": poisson_em,
}


def _poisson_weights(signature: Signature) -> Array:
    return np.asarray(1 / np.sqrt(1e6 * signature.composition.mean(0) + 1))


def _least_squares(bulk: Array, mixing: Array, weights: Array) -> Array:
    weighted = (mixing * weights).T
    found = np.stack([nnls(weighted, row)[0] for row in bulk * weights])
    return np.asarray(found / found.sum(1, keepdims=True))  # no row is 0: each type has some of each gene
