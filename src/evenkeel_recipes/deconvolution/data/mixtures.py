"""Pseudo-bulk samples: sums of raw counts of cells whose types are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.deconvolution.data.reference import Reference, type_sums
from evenkeel_recipes.kit.refusal import Refused

TARGET_SUM = 1e4  # counts per ten thousand: the unit of what the network reads
SHRINKAGE = 10  # cells: a type with so few is believed half
BORROWING = 60  # cells: a type with so few is believed half about the spread of its cells
ALIKE = 30.0  # a fraction p of the samples of one tissue has the variance p·(1 - p)/31
LEAST_ALIKE = 0.05  # for a type of which there is next to none
FLOOR = 1e-4  # share of the background in each row of a signature


@dataclass(frozen=True, slots=True)
class Mixtures:
    """Bulk samples with their truth.

    Attributes:
        counts: [samples, genes] float64, linear.
        fractions: [samples, types] float64, of cells, rows sum to 1; what was realised.
        asked: the same, as the Dirichlet drew them: not the truth, some types of a few cells were rounded away.
    """

    counts: NDArray[np.float64]
    fractions: NDArray[np.float64]
    asked: NDArray[np.float64]

    def take(self, rows: slice) -> Mixtures:
        """Some of the samples."""
        return Mixtures(self.counts[rows], self.fractions[rows], self.asked[rows])


@dataclass(frozen=True, slots=True)
class Signature:
    """What the types look like.

    Attributes:
        composition: [types, genes] float64, rows sum to 1, all above 0.
        content: [types] float64, counts of a cell, relative to their geometric mean.
        background: [genes] float64, composition of all cells, all above 0.
        variance: [types, genes] float64, of the composition, from the spread of the cells that it is the mean of.
    """

    composition: NDArray[np.float64]
    content: NDArray[np.float64]
    background: NDArray[np.float64]
    variance: NDArray[np.float64]


def signature_of(reference: Reference) -> Signature:
    """Composition and mRNA content of each type, from raw counts.

    The content of a type is its cells' mean count, drawn in logarithms to that of all cells with the weight n/(n+10).
    """
    sums = type_sums(reference)
    background = (sums.sum(0) + 1) / (sums.sum() + sums.shape[1])
    composition = (1 - FLOOR) * sums / sums.sum(1, keepdims=True) + FLOOR * background
    sizes = np.bincount(reference.labels, minlength=len(reference.types))
    content = np.log(sums.sum(1) / sizes)
    weight = sizes / (sizes + SHRINKAGE)
    drawn = weight * content + (1 - weight) * content.mean()
    return Signature(composition, np.exp(drawn - drawn.mean()), background, _variance(reference, sums))


def _variance(reference: Reference, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of Σ counts of a gene / Σ counts over the cells of a type; types of few cells borrow from the others.

    Borrowed is a gene's ratio of variance to mean, in counts, with the weight 60/(n+60).
    """
    of_a_cell, share = np.empty_like(sums), sums / sums.sum(1, keepdims=True)
    sizes = np.bincount(reference.labels, minlength=len(sums))[:, None]
    depth = sums.sum(1, keepdims=True) / sizes
    for kind in range(len(sums)):
        cells = reference.counts[reference.labels == kind].astype(np.float64)
        totals = np.asarray(cells.sum(1)).ravel()
        squares = np.asarray(cells.multiply(cells).sum(0)).ravel()
        left = squares - 2 * share[kind] * (cells.T @ totals) + share[kind] ** 2 * (totals**2).sum()
        left = np.maximum(left, 0) / max(len(totals) - 1, 1)  # rounding may leave -1e-12
        of_a_cell[kind] = left / totals.mean() ** 2
    pooled = (depth * of_a_cell).sum(0) / np.maximum(share.sum(0), 1 / sums.sum()) * share / depth
    weight = sizes / (sizes + BORROWING)
    return np.asarray((weight * of_a_cell + (1 - weight) * pooled) / sizes)


def adapted(signature: Signature, factors: NDArray[np.float64]) -> Signature:
    """The signature as another platform shows it, whose genes differ by factors [genes], all above 0.

    What a cell holds of mRNA is then what the platform sees of it.
    """
    seen = signature.composition * factors
    share = seen.sum(1)
    background = signature.background * factors
    return Signature(
        seen / share[:, None],
        signature.content * share,
        background / background.sum(),
        signature.variance * (factors / share[:, None]) ** 2,
    )


def mix(reference: Reference, n_samples: int, n_cells: int, alpha: float, seed: int) -> Mixtures:
    """Sums of `n_cells` cells, drawn with replacement; how many of which type is multinomial under a Dirichlet.

    Args:
        reference: where the cells come from.
        n_samples: how many samples.
        n_cells: cells in each.
        alpha: of the Dirichlet; below 1: most samples lack some types.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    return _poured(reference, rng.dirichlet(np.full(len(reference.types), alpha), n_samples), n_cells, rng)


def mix_alike(reference: Reference, n_samples: int, n_cells: int, alpha: float, seed: int) -> Mixtures:
    """The same, where samples are like those of one tissue: about one composition that was drawn so."""
    rng = np.random.default_rng(seed)
    centre = rng.dirichlet(np.full(len(reference.types), alpha))
    return _poured(reference, rng.dirichlet(ALIKE * centre + LEAST_ALIKE, n_samples), n_cells, rng)


def _poured(reference: Reference, target: NDArray[np.float64], n_cells: int, rng: np.random.Generator) -> Mixtures:
    """Cells in about the fractions of `target` [samples, types]."""
    n_samples, n_types = target.shape
    numbers = np.stack([rng.multinomial(n_cells, row / row.sum()) for row in target])
    members = [np.flatnonzero(reference.labels == kind) for kind in range(n_types)]
    rows, cells = [], []
    for kind, cells_of_kind in enumerate(members):
        total = int(numbers[:, kind].sum())
        rows.append(np.repeat(np.arange(n_samples), numbers[:, kind]))
        cells.append(cells_of_kind[rng.integers(0, len(cells_of_kind), total)])
    times = sparse.csr_matrix(
        (np.ones(n_samples * n_cells, np.float32), (np.concatenate(rows), np.concatenate(cells))),
        shape=(n_samples, len(reference.labels)),
    )
    counts = np.asarray((times @ reference.counts).todense(), dtype=np.float64)
    return Mixtures(counts, numbers / n_cells, target)


def composition(counts: NDArray[np.float64], names: NDArray[np.str_] | None = None) -> NDArray[np.float64]:
    """Rows divided by their sums.

    Raises:
        Refused: a sample has no count at all.
    """
    totals = counts.sum(1)
    empty = np.flatnonzero(totals == 0)
    if len(empty):
        which = empty[0] if names is None else f"{empty[0]} ({names[empty[0]]})"
        raise Refused(
            f"{len(empty)} samples have no count in the genes of the reference, the first is {which}; remove them"
        )
    return np.asarray(counts / totals[:, None])


def rescaled(mixtures: Mixtures, deviation: float, seed: int) -> Mixtures:
    """The same samples by another technology: each gene is seen by a factor of its own, log-normal with `deviation`."""
    factors = np.exp(np.random.default_rng(seed).normal(0, deviation, mixtures.counts.shape[1]))
    return replace(mixtures, counts=mixtures.counts * factors)


def without(mixtures: Mixtures, kind: int) -> Mixtures:
    """The truth about samples whose reference will lack a type: fractions of the others alone."""
    rest = np.delete(mixtures.fractions, kind, axis=1)
    return replace(mixtures, fractions=rest / rest.sum(1, keepdims=True))


def network_input(shares: NDArray[np.float64]) -> NDArray[np.float32]:
    """log1p of counts per ten thousand: between 0 and log1p(1e4) = 9.2104."""
    return np.log1p(TARGET_SUM * shares).astype(np.float32)
