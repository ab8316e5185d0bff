"""Single cells of known types: negative-binomial counts of 2,000 genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

NUM_GENES, NUM_TYPES, NUM_MARKERS = 2000, 8, 30
CELLS_PER_TYPE = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What the simulator draws cells from."""

    signature: Floats  # [types, genes], rows sum to 1
    cell_size: Floats  # [types], counts of a cell of middling depth
    dispersion: Floats  # [genes], variance is mean + mean^2 / dispersion


def draw_population(rng: np.random.Generator) -> Population:
    """Draw signatures with marker genes, and cell sizes over the 8-fold range of real blood."""
    log_expression = np.tile(rng.normal(0, 1.5, NUM_GENES), (NUM_TYPES, 1))
    for row in log_expression:
        row[rng.choice(NUM_GENES, NUM_MARKERS, replace=False)] += np.log(rng.uniform(4, 50, NUM_MARKERS))
    expression = np.exp(log_expression)
    return Population(
        signature=expression / expression.sum(axis=1, keepdims=True),
        cell_size=np.exp(rng.uniform(np.log(330), np.log(2699), NUM_TYPES)),
        dispersion=rng.lognormal(np.log(2), 0.5, NUM_GENES),
    )


def draw_cells(population: Population, labels: Ints, rng: np.random.Generator) -> Ints:
    """Draw one cell per label: negative-binomial counts, with a log-normal depth per cell."""
    depth = population.cell_size[labels] * rng.lognormal(0, 0.4, len(labels))
    mean = depth[:, None] * population.signature[labels]
    return rng.poisson(rng.gamma(population.dispersion, mean / population.dispersion))


def simulate(rng: np.random.Generator) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Draw a reference in the form that `read_h5ad` returns."""
    labels = np.repeat(np.arange(NUM_TYPES), CELLS_PER_TYPE)
    return draw_cells(draw_population(rng), labels, rng), labels, tuple(f"type {kind}" for kind in range(NUM_TYPES))
