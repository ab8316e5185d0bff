"""Cells of eight types with and without a stimulation, with known truth: is it told in a type where it was never seen?

Effects are multiplicative, so that a gene that is silent in a type stays silent; some genes are induced to a level
that is the same everywhere, as genes of the interferon response are; some respond in the last lineage alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.kit.counts import read_cells
from evenkeel_recipes.virtual_cell.cells.conditions import Treatment, Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.simulate import Truth

LINEAGES = (("CD4", 0), ("CD8", 0), ("Naive", 0), ("NK", 1), ("B", 2), ("Mono", 3), ("Mono16", 3), ("DC", 3))
SIZES = (12, 10, 5, 4, 4, 3, 1.5, 1)  # of types, relative to the smallest
LARGEST = 4.0  # log fold change
RESPONSIVE = 0.85  # share of genes that may respond
UP = 0.75  # share of genes that go up
JITTER = 0.25  # standard deviation of what is a type's own, in logs of a gene's effect
STATES, STATE_STD = 3, 0.25  # directions in which cells of a type differ, and by how much
PSEUDO_COUNTS = 200.0  # of the mean over all types, added to each type of a file


@dataclass(frozen=True, slots=True)
class Base:
    """Types before anything is done to them: names, lineage [types], log share of counts [types, genes]."""

    names: tuple[str, ...]
    lineage: NDArray[np.int64]
    log_share: NDArray[np.float64]
    genes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A stimulation.

    Attributes:
        shared: how many genes respond in every type.
        induced: how many of them reach the same level everywhere.
        own: how many genes more respond in the last lineage alone.
        weak: how many types respond half as much.
        depth: of stimulated cells, relative to that of the others.
        donors: how many batches there are.
    """

    name: str
    shared: int = 100
    induced: int = 0
    own: int = 0
    weak: int = 0
    depth: float = 1.0
    donors: int = 1


PLANS = (
    Plan("alike"),
    Plan("induced", induced=60, own=30),
    Plan("by lineage", shared=60, induced=20, own=80),
    Plan("weak in two", induced=40, own=20, weak=2),
    Plan("depth, donors", induced=30, own=30, depth=0.6, donors=3),
)


def stimulated(plan: Plan, base: Base, cells_of_smallest: int, seed: int) -> tuple[Study, Truth]:
    """Controls and stimulated cells of every type, equally many; 1,000 to 2,500 counts a cell."""
    rng = np.random.default_rng(seed)
    truth = _truth(plan, base, rng)
    n_types, sizes = len(base.names), rng.permutation(np.resize(SIZES, len(base.names)))
    each = (cells_of_smallest * sizes).astype(int)
    cell_type = np.repeat(np.tile(np.arange(n_types), 2), np.tile(each, 2))
    treatment = np.repeat([0, 1], each.sum())
    batch = rng.integers(plan.donors, size=len(cell_type))
    depth = rng.uniform(1000, 2500, n_types)[cell_type] * np.where(treatment, plan.depth, 1.0)
    state = rng.normal(0, 1, (len(cell_type), STATES)) @ rng.normal(0, STATE_STD, (STATES, len(base.genes)))
    log_share = truth.log_share[treatment, cell_type, batch] + state
    log_share -= np.log(np.exp(log_share).sum(1, keepdims=True))
    mean = (depth * rng.lognormal(0, 0.35, len(depth)))[:, None] * np.exp(log_share)
    counts = rng.poisson(mean * rng.gamma(truth.theta, 1 / truth.theta, size=mean.shape)).astype(np.float32)
    names = tuple(f"D{donor}" for donor in range(plan.donors))
    return Study(
        vocabulary=Vocabulary(base.genes, ("stim",), names, base.names, "control", "+"),
        counts=sparse.csr_matrix(counts), treatments=(Treatment(()), Treatment(("stim",))), treatment=treatment,
        batch=batch, cell_type=cell_type, spatial=None, features=np.eye(1, dtype=np.float32),
        names=np.array([f"cell{number}" for number in range(len(cell_type))]),
    ), truth  # fmt: skip


def simulated_base(n_genes: int, seed: int) -> Base:
    """Types of four lineages: lineages differ in a third of the genes, types of one lineage by less."""
    rng = np.random.default_rng(seed)
    lineage = np.array([place for _, place in LINEAGES])
    own = rng.normal(0, 1.2, (lineage.max() + 1, n_genes)) * (rng.random((lineage.max() + 1, n_genes)) < 1 / 3)
    share = rng.normal(0, 1.5, n_genes) + own[lineage] + rng.normal(0, 0.25, (len(lineage), n_genes))
    share -= np.log(np.exp(share).sum(1, keepdims=True))
    return Base(tuple(name for name, _ in LINEAGES), lineage, share, tuple(f"G{gene:04d}" for gene in range(n_genes)))


def base_of_file(path: Path, late: Sequence[str] = ("Mono", "Dendritic")) -> Base:
    """Profiles of the eight largest types of raw counts; types named like `late` are the last lineage."""
    cells = read_cells(path, "X", ["cell_type"])
    kinds, counted = np.unique(cells.obs["cell_type"].to_numpy().astype(str), return_counts=True)
    kinds = np.sort(kinds[np.argsort(-counted)[: len(LINEAGES)]])
    of_cell = cells.obs["cell_type"].to_numpy().astype(str)
    sums = np.stack([np.asarray(cells.counts[of_cell == kind].sum(0)).ravel() for kind in kinds]).astype(float)
    sums += PSEUDO_COUNTS * (sums.sum(0) + 0.5) / (sums.sum(0) + 0.5).sum()
    lineage = np.array([int(any(word in kind for word in late)) for kind in kinds])
    return Base(tuple(kinds.tolist()), lineage, np.log(sums / sums.sum(1, keepdims=True)), cells.genes)


def _truth(plan: Plan, base: Base, rng: np.random.Generator) -> Truth:
    n_types, n_genes = base.log_share.shape
    # Not of the most expressed, whose change would be a change of everything else's share.
    chosen = rng.permutation(np.argsort(base.log_share.max(0))[: int(RESPONSIVE * n_genes)])[: plan.shared + plan.own]
    response = np.ones((n_types, 1))
    response[rng.permutation(n_types)[: plan.weak]] = 0.5
    size = np.minimum(0.2 + rng.exponential(1.0, len(chosen)), LARGEST) * np.where(rng.random(len(chosen)) < UP, 1, -1)
    change = np.zeros((n_types, n_genes))
    change[:, chosen] = size * rng.lognormal(0, JITTER, (n_types, len(chosen))) * response
    change[np.ix_(base.lineage != base.lineage.max(), chosen[plan.shared :])] = 0.0
    treated = base.log_share + change
    induced = chosen[: plan.induced]
    level = np.quantile(base.log_share, rng.uniform(0.5, 0.97, plan.induced)) + np.log(response)
    level = level + rng.normal(0, JITTER, (n_types, plan.induced))
    treated[:, induced] = np.logaddexp(base.log_share[:, induced], level)
    of_donor = rng.normal(0, 0.15, (plan.donors, n_genes)) * (plan.donors > 1)
    log_share = np.stack([base.log_share, treated])[:, :, None] + of_donor
    log_share -= np.log(np.exp(log_share).sum(-1, keepdims=True))
    return Truth(log_share, rng.lognormal(np.log(3), 0.5, (n_genes,)))
