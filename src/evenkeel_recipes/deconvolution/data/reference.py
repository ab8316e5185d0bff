"""The reference: labelled cells, and how they are divided so that no cell is on both sides of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.deconvolution.data.genes import spelled, summed
from evenkeel_recipes.kit.counts import read_cells
from evenkeel_recipes.kit.refusal import Refused

LEAST_CELLS = 3  # of a type: one for each of three parts
MOST_EMPTY = 0.01  # of the cells may have no count in the genes that are kept
FEW_CELLS = 10  # fewer of a type are told: what is said about it hangs on single cells


@dataclass(frozen=True, slots=True)
class Reference:
    """Cells with their types.

    Attributes:
        counts: [cells, genes] float32, whole numbers.
        labels: [cells] int64, positions in `types`.
        types: names of the cell types.
        genes: names of the genes.
        donors: [cells], whose cells they are; None: not known.
        cells: [cells], their names.
    """

    counts: sparse.csr_matrix
    labels: NDArray[np.int64]
    types: tuple[str, ...]
    genes: tuple[str, ...]
    donors: NDArray[np.str_] | None
    cells: NDArray[np.str_]

    def take(self, rows: NDArray[np.int64]) -> Reference:
        """Some of the cells."""
        donors = None if self.donors is None else self.donors[rows]
        return replace(self, counts=self.counts[rows], labels=self.labels[rows], donors=donors, cells=self.cells[rows])

    def only(self, genes: NDArray[np.int64]) -> Reference:
        """Some of the genes."""
        return replace(self, counts=self.counts[:, genes].tocsr(), genes=tuple(self.genes[gene] for gene in genes))


@dataclass(frozen=True, slots=True)
class Parts:
    """Cells to train on, to choose by, and to judge by; no cell is in two of them."""

    train: Reference
    validation: Reference
    test: Reference

    @property
    def unit(self) -> str:
        """What is in one part only: "donor", or "cell" where donors are not known or could not be kept apart."""
        return "cell" if shares_donors((self.train, self.validation, self.test)) else "donor"


def read_reference(
    path: Path,
    cell_type_key: str,
    counts_layer: str,
    donor_key: str | None,
    most_cells_per_type: int,
    seed: int,
    gene_key: str | None = None,
) -> Reference:
    """A reference from an AnnData file.

    At most `most_cells_per_type` cells of each type are read, drawn at random, so that memory does not grow with the
    file. Types are in the order of their names. Genes that `gene_key`, a column of var, names alike are summed.

    Raises:
        Refused: the file has no such columns, its values are no counts, or a type has fewer than 3 cells.
    """
    columns = [cell_type_key, *([donor_key] if donor_key else [])]

    def choose(obs: pd.DataFrame) -> NDArray[np.int64]:
        return _at_most(obs[cell_type_key].to_numpy(), most_cells_per_type, np.random.default_rng(seed))

    cells = read_cells(path, counts_layer, columns, choose, gene_key)
    counts, genes = summed(cells.counts, spelled(cells.genes))
    types, labels = np.unique(cells.obs[cell_type_key].to_numpy().astype(str), return_inverse=True)
    _enough(types, np.bincount(labels), path)
    return Reference(
        counts=counts,
        labels=labels.astype(np.int64),
        types=tuple(map(str, types)),
        genes=genes,
        donors=cells.obs[donor_key].to_numpy().astype(str) if donor_key else None,
        cells=_each_once(cells.obs.index.to_numpy().astype(str)),
    )


def _each_once(names: NDArray[np.str_]) -> NDArray[np.str_]:
    """Names of cells that stand more than once, as after joining files, with their place in the file."""
    unique, group, times = np.unique(names, return_inverse=True, return_counts=True)
    if len(unique) == len(names):
        return names
    return np.array([f"{name} #{row}" if times[group[row]] > 1 else name for row, name in enumerate(names.tolist())])


def few_cells(reference: Reference) -> list[str]:
    """The types with fewer than 10 cells, each with its number."""
    sizes = np.bincount(reference.labels, minlength=len(reference.types)).tolist()
    return [f"{kind} ({size})" for kind, size in zip(reference.types, sizes, strict=True) if size < FEW_CELLS]


def counted_in(reference: Reference, genes: NDArray[np.int64]) -> Reference:
    """Some of the genes, and the cells that have a count in one of them.

    Raises:
        Refused: more than 1 % of the cells have none, or fewer than 3 cells of a type have one.
    """
    kept = reference.only(genes)
    has_any = np.asarray(kept.counts.sum(1)).ravel() > 0
    empty, left = np.flatnonzero(~has_any), np.bincount(reference.labels[has_any], minlength=len(reference.types))
    if len(empty) > MOST_EMPTY * len(has_any) or (len(empty) and left.min() < LEAST_CELLS):
        raise Refused(
            f"{len(empty)} of {len(kept.cells)} cells have no count in the {len(genes)} genes that are kept, the first "
            f"is {kept.cells[empty[0]]}; keep more genes (--n-genes), or leave out cells of so few counts"
        )
    return kept.take(np.flatnonzero(has_any)) if len(empty) else kept


def _at_most(kinds: NDArray[np.str_], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    groups = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    return np.concatenate([rng.permutation(group)[:most] for group in groups])


def _enough(types: NDArray[np.str_], sizes: NDArray[np.int64], path: Path) -> None:
    if len(types) < 2:  # noqa: PLR2004  nothing to tell apart
        raise Refused(f"{path}: only one cell type, {types[0]!r}; at least two are needed")
    few = [f"{kind} ({size})" for kind, size in zip(types, sizes, strict=True) if size < LEAST_CELLS]
    if few:
        raise Refused(
            f"{path}: {len(few)} of {len(types)} cell types have fewer than {LEAST_CELLS} cells: {', '.join(few[:8])}; "
            "merge them with a related type or leave them out"
        )


def variable_genes(reference: Reference, n_genes: int) -> NDArray[np.int64]:
    """Positions of the genes that tell types apart most, in ascending order; all of them when there are fewer.

    Ranked by the variance between the types' mean compositions over what chance alone would make of it.
    """
    if n_genes >= len(reference.genes):
        return np.arange(len(reference.genes))
    sums = type_sums(reference)
    depth = sums.sum(1, keepdims=True)
    share = sums / depth
    pooled = sums.sum(0) / depth.sum()
    chance = np.maximum(pooled, 1 / depth.sum())  # a gene that nobody has: as if one count were left
    score = (depth * (share - pooled) ** 2 / chance).sum(0)
    return np.sort(np.argsort(-score, kind="stable")[:n_genes])


def type_sums(reference: Reference) -> NDArray[np.float64]:
    """Counts of all cells of a type together: [types, genes] float64."""
    n_cells = len(reference.labels)
    member = sparse.csr_matrix(
        (np.ones(n_cells), (reference.labels, np.arange(n_cells))), shape=(len(reference.types), n_cells)
    )
    return np.asarray((member @ reference.counts.astype(np.float64)).todense())


def divide(reference: Reference, shares: Sequence[float], seed: int) -> list[Reference]:
    """Disjoint parts of the cells, by donor where every part gets all types so, else by cell within each type.

    Args:
        reference: the cells.
        shares: of each part; they sum to 1.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    groups = _by_donor(reference, shares, rng) or _by_cell(reference, shares, rng)
    return [reference.take(np.sort(group)) for group in groups]


def shares_donors(parts: Iterable[Reference]) -> bool:
    """Whether a donor is in two parts, or may be because donors are not known."""
    donors = [None if part.donors is None else set(part.donors) for part in parts]
    known = [each for each in donors if each is not None]
    return len(known) < len(donors) or sum(map(len, known)) > len(set().union(*known))


def halved(reference: Reference, seed: int) -> Reference:
    """Half of the cells of each type, at least one, drawn without replacement."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(reference.labels == kind) for kind in range(len(reference.types))]
    return reference.take(np.concatenate([rng.permutation(group)[: -(-len(group) // 2)] for group in groups]))


def united(first: Reference, second: Reference) -> Reference:
    """The cells of both, which are of the same types and genes."""
    known = first.donors is not None and second.donors is not None
    return replace(
        first,
        counts=sparse.vstack([first.counts, second.counts]).tocsr(),
        labels=np.concatenate([first.labels, second.labels]),
        donors=np.concatenate([first.donors, second.donors]) if known else None,
        cells=np.concatenate([first.cells, second.cells]),
    )


def three_parts(reference: Reference, seed: int) -> Parts:
    """70 % of the cells to train on, 15 % to choose by, 15 % to judge by."""
    return Parts(*divide(reference, (0.7, 0.15, 0.15), seed))


def _by_cell(reference: Reference, shares: Sequence[float], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    for kind in range(len(reference.types)):
        cells = rng.permutation(np.flatnonzero(reference.labels == kind))
        for part, piece in zip(parts, _pieces(cells, shares), strict=True):
            part.append(piece)
    return [np.concatenate(part) for part in parts]


def _pieces(cells: NDArray[np.int64], shares: Sequence[float]) -> list[NDArray[np.int64]]:
    """Every part gets a cell, so that none is blind to a type; where cells are fewer than parts, all get all."""
    if len(cells) < len(shares):
        return [cells for _ in shares]
    ends = np.maximum(np.round(np.cumsum(shares) * len(cells)).astype(int), np.arange(1, len(shares) + 1))
    ends = np.minimum(ends, len(cells) - np.arange(len(shares))[::-1])
    return np.split(cells, ends[:-1])


def _by_donor(
    reference: Reference, shares: Sequence[float], rng: np.random.Generator
) -> list[NDArray[np.int64]] | None:
    """None where donors are not known, or no division gives each part all types."""
    if reference.donors is None:
        return None
    donors = np.unique(reference.donors)
    if len(donors) < len(shares):
        return None
    ends = np.maximum(np.round(np.cumsum(shares) * len(donors)).astype(int), np.arange(1, len(shares) + 1))
    ends = np.minimum(ends, len(donors) - np.arange(len(shares))[::-1])
    for _ in range(20):
        parts = np.split(rng.permutation(donors), ends[:-1])
        groups = [np.flatnonzero(np.isin(reference.donors, part)) for part in parts]
        if all(len(np.unique(reference.labels[group])) == len(reference.types) for group in groups):
            return groups
    return None
