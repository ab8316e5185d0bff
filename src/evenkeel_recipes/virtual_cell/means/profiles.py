"""Mean profiles of conditions: what additive effects, baselines and scores of means are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.virtual_cell.cells.data import Rows, Study

TARGET_SUM = 1e4
NUMBERS = 4_000_000  # cells times genes that a mean is taken over
LEAST_CELLS, MOST_CELLS = 1000, 5000
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profiles:
    """Mean log1p counts per 10,000 of each condition that has cells, and the mean log library size as a last column.

    Attributes:
        treatment, cell_type: [conditions] int64.
        number: [conditions], cells behind each.
        mean: [conditions, genes + 1].
        variance: [genes + 1], of single cells within their conditions.
    """

    treatment: Rows
    cell_type: Rows
    number: Array
    mean: Array
    variance: Array

    def find(self, treatment: int, cell_type: int) -> int | None:
        """The row of a condition; None where it has no cells."""
        rows = np.flatnonzero((self.treatment == treatment) & (self.cell_type == cell_type))
        return int(rows[0]) if len(rows) else None

    def take(self, rows: Rows) -> Profiles:
        """Some of the conditions."""
        return Profiles(self.treatment[rows], self.cell_type[rows], self.number[rows], self.mean[rows], self.variance)


def log_cp10k(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """log(1 + counts per 10,000 of the cell's counts), float64, sparse. Each cell has a count."""
    scaled = counts.astype(np.float64).multiply(TARGET_SUM / np.asarray(counts.sum(1), dtype=np.float64)).tocsr()
    scaled.data = np.log1p(scaled.data)
    return scaled


def profiles_of(study: Study, rows: Rows) -> Profiles:
    """Profiles of the conditions that these cells make up."""
    n_types = len(study.vocabulary.cell_types)
    key, place = np.unique(study.treatment[rows] * n_types + study.cell_type[rows], return_inverse=True)
    values = sparse.hstack(
        [log_cp10k(study.counts[rows]), np.log(study.library[rows]).astype(np.float64)[:, None]], format="csr"
    )
    member = sparse.csr_matrix((np.ones(len(rows)), (place, np.arange(len(rows)))), shape=(len(key), len(rows)))
    number = np.bincount(place).astype(np.float64)
    mean = np.asarray((member @ values).todense()) / number[:, None]
    squares = np.asarray(values.multiply(values).sum(0)).ravel()
    within = squares - (number[:, None] * mean**2).sum(0)
    return Profiles(key // n_types, key % n_types, number, mean, np.maximum(within, 0) / max(1, len(rows) - len(key)))


def cells_for_means(n_genes: int) -> int:
    """How many cells a mean profile is taken over."""
    return max(LEAST_CELLS, min(MOST_CELLS, NUMBERS // n_genes))
