"""Counts of cells out of an AnnData file, checked, in pieces, so that the file may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, sparse_dataset
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.kit.refusal import Refused

ROWS_AT_ONCE = 4096
WHOLE = 1e-3  # how far from a whole number a count may be
RECOVERED = 1e-2  # the same, where counts are recovered from logarithms
SHOWN = 5  # names in a sentence


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells of one file.

    Attributes:
        counts: [cells, genes] float32, whole numbers from 0 up.
        genes: their names, each once; those of a column as they stand there.
        obs: the columns that were asked for, a row a cell, indexed by the names of the cells.
        recovered: whether the counts were computed from logarithms.
    """

    counts: sparse.csr_matrix
    genes: tuple[str, ...]
    obs: pd.DataFrame
    recovered: bool


def read_cells(
    path: Path,
    layer: str,
    columns: Sequence[str],
    choose: Callable[[pd.DataFrame], NDArray[np.int64]] | None = None,
    gene_key: str | None = None,
) -> Cells:
    """Read the cells that `choose` picks, given the columns asked for; all of them without it.

    Genes are named by the index of var, or by its column `gene_key`.

    Counts come from `layers[layer]`, else from X; where X holds log1p of counts scaled by one factor a cell, the counts
    are recovered (exact unless the smallest count of a cell is more than 1; a cell that is not whole then is refused).

    Cost: the chosen cells, and 4,096 more at a time.

    Raises:
        Refused: the file, a column or the layer is missing, a gene has its name twice, or a value is no count.
    """
    with opened(path) as file:
        obs = _columns(read_elem(file["obs"]), columns, path)
        var = read_elem(file["var"])
        genes = _once(tuple(map(str, var.index)), path) if gene_key is None else _named(var, gene_key, path)
        rows = np.arange(len(obs)) if choose is None else np.sort(choose(obs))
        if not len(rows):
            raise Refused(f"{path}: no cell is left to read of {len(obs)}")
        pieces = list(_pieces(matrix_of(file, layer), len(obs), rows))
    names = obs.index.to_numpy().astype(str)[rows]
    whole, recovered = _counts(sparse.vstack(pieces, format="csr"), names, path, layer)
    return Cells(whole, genes, obs.iloc[rows], recovered)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An AnnData file, none of whose matrices is read; anndata itself would read all layers.

    Raises:
        Refused: there is none, or it is of another kind.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise Refused(f"{path} is no AnnData file (.h5ad): {error}") from error
    with file:
        if missing := [part for part in ("obs", "var") if part not in file]:
            raise Refused(f"{path} is no AnnData file (.h5ad): it has no {', '.join(missing)}")
        yield file


def matrix_of(file: h5py.File, layer: str) -> Any:  # noqa: ANN401  # h5py has no types
    """What holds the counts on disk, by rows: the layer, else X.

    Raises:
        Refused: the file has neither.
    """
    if layer not in file.get("layers", {}) and "X" not in file:
        raise Refused(f"{file.filename} has neither a layer {layer!r} nor X, so no counts")
    found = file["layers"][layer] if layer in file.get("layers", {}) else file["X"]
    if isinstance(found, h5py.Dataset):
        return found
    stored = sparse_dataset(found)
    return stored if stored.format == "csr" else stored.to_memory().tocsr()  # columns cannot be read in pieces of rows


def _columns(obs: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    missing = [column for column in columns if column not in obs]
    if missing:
        raise Refused(f"{path}: obs has no column {', '.join(map(repr, missing))}; it has {', '.join(obs.columns)}")
    chosen = obs[list(dict.fromkeys(columns))]
    for column in columns:
        if empty := int(chosen[column].isna().sum()):
            raise Refused(f"{path}: {empty} of {len(chosen)} cells have no value in obs[{column!r}]; leave them out")
    return chosen.astype(dict.fromkeys(columns, str))


def _named(var: pd.DataFrame, key: str, path: Path) -> tuple[str, ...]:
    if key not in var:
        raise Refused(f"{path}: var has no column {key!r}; it has {', '.join(var.columns) or 'none'}")
    if empty := int(var[key].isna().sum()):
        raise Refused(f"{path}: {empty} of {len(var)} genes have no value in var[{key!r}]; leave them out")
    return tuple(map(str, var[key]))


def _once(genes: tuple[str, ...], path: Path) -> tuple[str, ...]:
    names, times = np.unique(genes, return_counts=True)
    if (times > 1).any():
        twice = ", ".join(map(str, names[times > 1][:5]))
        raise Refused(
            f"{path}: {int((times > 1).sum())} genes have their name more than once ({twice}); sum or rename them"
        )
    return genes


def _pieces(matrix: Any, n_cells: int, rows: NDArray[np.int64]) -> Iterator[sparse.csr_matrix]:  # noqa: ANN401  # as matrix_of
    wanted = np.zeros(n_cells, dtype=bool)
    wanted[rows] = True
    for start in range(0, n_cells, ROWS_AT_ONCE):
        here = wanted[start : start + ROWS_AT_ONCE]
        if here.any():
            yield sparse.csr_matrix(matrix[start : start + ROWS_AT_ONCE][here], dtype=np.float64)


def _counts(
    matrix: sparse.csr_matrix, names: NDArray[np.str_], path: Path, layer: str
) -> tuple[sparse.csr_matrix, bool]:
    matrix.eliminate_zeros()  # a zero that is stored is no count, as one that is not
    values = matrix.data
    if bad := int((~np.isfinite(values)).sum()):
        raise Refused(
            f"{path}: {bad} values are not finite, the first in cell {_cell(matrix, names, ~np.isfinite(values))}"
        )
    if (values < 0).any():
        raise Refused(
            f"{path}: {int((values < 0).sum())} values are negative (least {values.min():.4g}), the first in cell "
            f"{_cell(matrix, names, values < 0)}; counts are needed, in layers[{layer!r}] or X"
        )
    if not len(values):
        raise Refused(f"{path}: all counts are 0")
    recovered = bool(np.abs(values - np.rint(values)).max() > WHOLE)
    if recovered:
        matrix = _recover(matrix, names, path, layer)
    empty = np.flatnonzero(np.diff(matrix.indptr) == 0)
    if len(empty):
        raise Refused(
            f"{path}: {len(empty)} cells have no count at all, the first is {names[empty[0]]}; leave them out"
        )
    matrix.data = np.rint(matrix.data).astype(np.float32)
    return matrix.astype(np.float32), recovered


def _recover(matrix: sparse.csr_matrix, names: NDArray[np.str_], path: Path, layer: str) -> sparse.csr_matrix:
    """Counts out of log1p(counts * factor of the cell), where that is what the numbers are."""
    if matrix.data.max() > np.log1p(1e9):
        raise Refused(
            f"{path}: values are neither counts (whole numbers) nor their logarithms (largest "
            f"{matrix.data.max():.4g}); give raw counts in layers[{layer!r}]"
        )
    linear = np.expm1(matrix.data)
    least = np.full(matrix.shape[0], np.inf)
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    np.minimum.at(least, owner, linear)
    counts = linear / least[owner]
    off = np.abs(counts - np.rint(counts)) > RECOVERED
    if off.any():
        cells = np.unique(owner[off])
        named = ", ".join(names[cells[:SHOWN]]) + (", …" if len(cells) > SHOWN else "")
        raise Refused(
            f"{path}: values are not whole, and not log1p of scaled counts either in {len(cells)} of {matrix.shape[0]} "
            f"cells ({named}); give raw counts in layers[{layer!r}], or leave those cells out"
        )
    return sparse.csr_matrix((counts, matrix.indices, matrix.indptr), shape=matrix.shape)


def _cell(matrix: sparse.csr_matrix, names: NDArray[np.str_], where: NDArray[np.bool_]) -> str:
    owner = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return str(names[owner[where][0]])
