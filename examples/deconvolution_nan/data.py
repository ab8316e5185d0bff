"""A single-cell reference and the pseudo-bulks mixed from it: simulated, or real counts from an .h5ad file."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from simulator import simulate
from torch import Tensor
from torch.utils.data import TensorDataset

Ints: TypeAlias = NDArray[np.int64]

CELLS_PER_BULK = 1000
SHALLOWEST = 0.02  # share of its counts that the least sequenced bulk keeps
NUM_TRAIN, NUM_TEST = 1024, 256
FEWEST_CELLS = 4  # per type: two for training, so that they can be halved once more, and two for testing


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixtures:
    """Pseudo-bulks: raw counts of many cells together."""

    bulk: Tensor  # [mixtures, genes], counts
    proportions: Tensor  # [mixtures, types], share of the cells really drawn
    drawn: Ints  # [mixtures, cells per bulk], which cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A reference, and mixtures whose training and test cells are disjoint."""

    source: str
    types: tuple[str, ...]
    counts: Tensor  # [cells, genes]
    labels: Tensor  # [cells]
    train_cells: Ints  # rows of `counts`
    test_cells: Ints
    train: Mixtures
    test: Mixtures


def split_by_halves(labels: Ints, cells: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Split the given cells at random into two halves of every type."""
    shuffled = rng.permutation(cells)
    by_type = [shuffled[labels[shuffled] == kind] for kind in np.unique(labels)]
    first = [members[: (len(members) + 1) // 2] for members in by_type]
    second = [members[(len(members) + 1) // 2 :] for members in by_type]
    return np.concatenate(first), np.concatenate(second)


def mix(counts: Ints, labels: Ints, pool: Ints, num: int, rng: np.random.Generator) -> Mixtures:
    """Sum cells drawn from the pool, each bulk sequenced to its own depth; label it by the cells really drawn."""
    num_types = labels.max() + 1
    cells_of_type = rng.multinomial(CELLS_PER_BULK, rng.dirichlet(np.ones(num_types), num))
    pool = pool[np.argsort(labels[pool], kind="stable")]
    size = np.bincount(labels[pool], minlength=num_types)
    start = np.cumsum(size) - size
    kind = np.repeat(np.tile(np.arange(num_types), num), cells_of_type.ravel()).reshape(num, -1)
    drawn = pool[start[kind] + rng.integers(0, size[kind])]
    key = (drawn + np.arange(num)[:, None] * len(labels)).ravel()
    times_drawn = np.bincount(key, minlength=num * len(labels)).reshape(num, -1)
    summed = (times_drawn.astype(np.float64) @ counts).astype(np.int64)
    depth = np.exp(rng.uniform(np.log(SHALLOWEST), 0, (num, 1)))
    return Mixtures(
        bulk=torch.from_numpy(rng.binomial(summed, depth)).float(),
        proportions=torch.from_numpy(cells_of_type / CELLS_PER_BULK).float(),
        drawn=drawn,
    )


def read_h5ad(path: Path) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Read raw counts, type numbers and type names; refuse what is not raw counts of enough cells."""
    # only real files need anndata, so the simulated study does without it
    file: Any = importlib.import_module("anndata").read_h5ad(path)
    matrix = file.layers.get("counts", file.X)
    counts = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)
    if counts.min() < 0 or not np.array_equal(counts, np.round(counts)):
        raise ValueError(
            f"{path} has values from {counts.min()} to {counts.max()} that are not all whole numbers of 0 or more; "
            "put the raw counts into layers['counts']"
        )
    kinds = file.obs["cell_type"].astype("category").cat.remove_unused_categories().cat
    labels = kinds.codes.to_numpy().astype(np.int64)
    rare = [name for code, name in enumerate(kinds.categories) if (labels == code).sum() < FEWEST_CELLS]
    empty = np.flatnonzero(counts.sum(axis=1) == 0)
    if rare or len(empty) or labels.min() < 0:
        raise ValueError(
            f"{path}: types with fewer than {FEWEST_CELLS} cells: {rare}; cells without counts: {empty.tolist()}; "
            f"cells without a type: {np.flatnonzero(labels < 0).tolist()}; remove them from the file first"
        )
    return counts.astype(np.int64), labels, tuple(map(str, kinds.categories))


def load(path: Path | None, seed: int = 0) -> Study:
    """Load the study from an .h5ad file, or simulate one when there is no path."""
    rng = np.random.default_rng(seed)
    counts, labels, types = simulate(rng) if path is None else read_h5ad(path)
    train_cells, test_cells = split_by_halves(labels, np.arange(len(labels)), rng)
    return Study(
        source="simulated" if path is None else path.name,
        types=types,
        counts=torch.from_numpy(counts).float(),
        labels=torch.from_numpy(labels),
        train_cells=train_cells,
        test_cells=test_cells,
        train=mix(counts, labels, train_cells, NUM_TRAIN, rng),
        test=mix(counts, labels, test_cells, NUM_TEST, rng),
    )


def log_cp10k(counts: Tensor) -> Tensor:
    """Return log(1 + counts per 10,000 of the row), between 0 and 9.2104."""
    return torch.log1p(1e4 * counts / counts.sum(dim=1, keepdim=True))


def pairs(cells: Tensor, labels: Tensor, *of_bulk: Tensor) -> TensorDataset:
    """Pair single cells with bulks; the shorter of the two sides starts again."""
    row = torch.arange(max(len(cells), len(of_bulk[0])))
    of_cell = (cells[row % len(cells)], labels[row % len(cells)])
    return TensorDataset(*of_cell, *(values[row % len(values)] for values in of_bulk))
