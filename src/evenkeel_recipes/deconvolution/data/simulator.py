"""A reference of single cells whose truth is known: the default data of the recipe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.deconvolution.data.reference import Reference

MARKERS = 30
FOLD = (4.0, 50.0)  # how much more of a marker its type has
CONTENT = (330.0, 2699.0)  # mean counts of a cell of the poorest and of the richest type, as measured in real data


@dataclass(frozen=True, slots=True)
class World:
    """What the simulated cells come from.

    Attributes:
        composition: [types, genes] float64, rows sum to 1.
        content: [types] float64, mean counts of a cell.
        dispersion: [genes] float64, theta of the negative binomial.
        donors: [donors, genes] float64, factors.
    """

    composition: NDArray[np.float64]
    content: NDArray[np.float64]
    dispersion: NDArray[np.float64]
    donors: NDArray[np.float64]


def make_world(seed: int, n_types: int = 8, n_genes: int = 2000, n_donors: int = 6) -> World:
    """Types that differ by 30 markers each and 8.2 fold in their content, donors that differ by 15 % in each gene."""
    rng = np.random.default_rng(seed)
    base = rng.normal(0, 1.5, n_genes)
    expression = np.tile(base, (n_types, 1))
    markers = rng.permutation(n_genes)[: MARKERS * n_types].reshape(n_types, MARKERS)
    for kind, genes in enumerate(markers):
        expression[kind, genes] += np.log(rng.uniform(*FOLD, MARKERS))
    composition = np.exp(expression)
    content = np.exp(rng.permutation(np.linspace(np.log(CONTENT[0]), np.log(CONTENT[1]), n_types)))
    return World(
        composition / composition.sum(1, keepdims=True),
        content,
        np.exp(rng.normal(np.log(2), 0.5, n_genes)),
        np.exp(rng.normal(0, 0.15, (n_donors, n_genes))),
    )


def draw_cells(world: World, n_cells: int, seed: int) -> Reference:
    """Cells of all types and donors in equal parts; counts are negative binomial, depths log-normal (sd 0.4)."""
    rng = np.random.default_rng(seed)
    n_types, n_genes = world.composition.shape
    labels = rng.permutation(np.arange(n_cells) % n_types)
    donors = rng.integers(0, len(world.donors), n_cells)
    depth = np.exp(rng.normal(-0.08, 0.4, n_cells))  # mean 1
    rows = []
    for start in range(0, n_cells, 1000):
        part = slice(start, start + 1000)
        share = world.composition[labels[part]] * world.donors[donors[part]]
        mean = share / share.sum(1, keepdims=True) * (world.content[labels[part]] * depth[part])[:, None]
        rows.append(
            sparse.csr_matrix(rng.poisson(rng.gamma(world.dispersion, mean / world.dispersion)).astype(np.float32))
        )
    return Reference(
        counts=sparse.vstack(rows, format="csr"),
        labels=labels,
        types=tuple(f"type{kind}" for kind in range(n_types)),
        genes=tuple(f"gene{gene:04d}" for gene in range(n_genes)),
        donors=np.array([f"donor{donor}" for donor in donors]),
        cells=np.array([f"cell{cell}" for cell in range(n_cells)]),
    )
