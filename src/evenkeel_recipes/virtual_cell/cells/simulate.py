"""Cells with known truth: six perturbations, five combinations of which four are additive, three cell types."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.virtual_cell.cells.conditions import Treatment, Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study

SINGLES = ("P1", "P2", "P3", "P4", "P5", "P6")
PAIRS = (("P1", "P2"), ("P1", "P3"), ("P2", "P4"), ("P3", "P5"), ("P5", "P6"))
INTERACTING = ("P5", "P6")
TYPES, BATCHES = ("T1", "T2", "T3"), ("B1", "B2")
GENES_OF_AN_EFFECT = 20


@dataclass(frozen=True, slots=True)
class Truth:
    """What the cells were drawn from.

    Attributes:
        log_share: [treatments, types, batches, genes], the logarithm of each gene's share of a cell's counts.
        theta: [genes], inverse dispersion: the variance is mean + mean² / theta.
    """

    log_share: NDArray[np.float64]
    theta: NDArray[np.float64]


def simulate(seed: int, n_genes: int = 300, cells_each: int = 200) -> tuple[Study, Truth]:
    """A screen with `cells_each` cells of each treatment in each type. Under 2 s at the defaults."""
    rng = np.random.default_rng(seed)
    treatments = (Treatment(()), *(Treatment((name,)) for name in SINGLES), *(Treatment(pair) for pair in PAIRS))
    truth = _truth(treatments, n_genes, rng)
    n_cells = len(treatments) * len(TYPES) * cells_each
    treatment, cell_type = (
        places.ravel().repeat(cells_each) for places in np.indices((len(treatments), len(TYPES)), dtype=np.int64)
    )
    batch = rng.integers(len(BATCHES), size=n_cells)
    library = rng.lognormal(np.log(2000), 0.4, size=(n_cells, 1))
    mean = library * np.exp(truth.log_share[treatment, cell_type, batch])
    counts = rng.poisson(mean * rng.gamma(truth.theta, 1 / truth.theta, size=mean.shape)).astype(np.float32)
    names = tuple(f"G{gene:03d}" for gene in range(n_genes))
    study = Study(
        vocabulary=Vocabulary(names, SINGLES, BATCHES, TYPES, "control", "+"), counts=sparse.csr_matrix(counts),
        treatments=treatments, treatment=treatment, batch=batch, cell_type=cell_type, spatial=None,
        names=np.array([f"cell{number}" for number in range(n_cells)]), features=np.eye(len(SINGLES), dtype=np.float32),
    )  # fmt: skip
    return study, truth


def _truth(treatments: tuple[Treatment, ...], n_genes: int, rng: np.random.Generator) -> Truth:
    base = rng.normal(0, 1.0, n_genes) + rng.normal(0, 0.5, (len(TYPES), n_genes))
    of_batch = rng.normal(0, 0.1, (len(BATCHES), n_genes))
    shared = {name: _effect(n_genes, rng) for name in SINGLES}
    of_type = {name: shared[name] * rng.lognormal(0, 0.2, (len(TYPES), 1)) for name in SINGLES}
    interaction = _effect(n_genes, rng)
    log_share = np.zeros((len(treatments), len(TYPES), len(BATCHES), n_genes))
    for row, treatment in enumerate(treatments):
        effect = sum((of_type[single] for single in treatment.singles), np.zeros((len(TYPES), n_genes)))
        effect = effect + (0.3 * interaction if treatment.singles == INTERACTING else 0.0)
        log_share[row] = (base + effect)[:, None] + of_batch
    log_share -= np.log(np.exp(log_share).sum(-1, keepdims=True))
    return Truth(log_share, rng.lognormal(np.log(3), 0.5, n_genes))


def _effect(n_genes: int, rng: np.random.Generator) -> NDArray[np.float64]:
    effect = np.zeros(n_genes)
    effect[rng.choice(n_genes, min(GENES_OF_AN_EFFECT, n_genes), replace=False)] = rng.normal(
        0, 0.8, min(GENES_OF_AN_EFFECT, n_genes)
    )
    return effect
