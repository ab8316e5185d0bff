"""A user's bulk samples: read, checked, and brought to the genes of the reference by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.kit.refusal import Refused

Array = NDArray[np.float64]
LEAST_SHARE = 0.6  # of the reference's genes that the bulk has to have
HIGHEST_LOG = 30.0  # no logarithm of a count is above it
STEADY = 0.05  # relative spread of the rows' sums of expm1 that normalised logarithms have
BACK: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "log1p": np.expm1,
    "log2p1": lambda x: np.asarray(np.exp2(x) - 1),
}


@dataclass(frozen=True, slots=True)
class Bulk:
    """Samples in the genes that they share with the reference.

    Attributes:
        counts: [samples, shared genes] float64, linear, from 0 up.
        samples: names of the samples.
        genes: positions of the shared genes among the reference's, in ascending order.
        summed: names of genes that stood there more than once and were summed.
    """

    counts: Array
    samples: NDArray[np.str_]
    genes: NDArray[np.int64]
    summed: tuple[str, ...]


def read_bulk(path: Path, genes: Sequence[str], assume: str) -> Bulk:
    """Read samples from .h5ad, or from .csv or .tsv with genes as rows or as columns, whichever names fit.

    Args:
        path: the file.
        genes: the reference's.
        assume: "linear", or the logarithm that is to be undone.

    Raises:
        Refused: a value is not finite or negative, the values look like logarithms, fewer than 60 % of the genes are
            there, or there is no sample.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    table = _of_anndata(path) if path.suffix == ".h5ad" else _of_text(path, genes)
    if table.empty:
        raise Refused(f"{path}: no samples, or no genes: {table.shape[0]} x {table.shape[1]}")
    values = _numbers(table, path)
    if assume == "linear":
        _refuse_logarithms(values, path)
    linear = np.asarray(BACK[assume](values))
    summed, names, linear = _sum_duplicates(table.columns.astype(str), linear)
    return _matched(linear, names, table.index.to_numpy().astype(str), genes, summed, path)


def _of_anndata(path: Path) -> pd.DataFrame:
    try:
        data = anndata.read_h5ad(path)
    except (OSError, KeyError) as error:
        raise Refused(f"{path} is no AnnData file (.h5ad): {error}") from error
    values = data.layers.get("counts", data.X)
    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
    return pd.DataFrame(dense, index=data.obs_names, columns=data.var_names)


def _of_text(path: Path, genes: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep=None, engine="python", index_col=0)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no table with a header and a first column of names: {error}") from error
    known = set(genes)
    in_rows, in_columns = (len(known & set(names.astype(str))) for names in (table.index, table.columns))
    return table.T if in_rows > in_columns else table


def _numbers(table: pd.DataFrame, path: Path) -> Array:
    try:
        values: Array = table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise Refused(f"{path}: not all values are numbers: {error}") from error
    for bad, what in ((~np.isfinite(values), "not finite"), (values < 0, "negative")):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise Refused(
                f"{path}: {int(bad.sum())} values are {what}, the first is {values[row, column]} in sample "
                f"{table.index[row]}, gene {table.columns[column]}"
            )
    return values


def _refuse_logarithms(values: Array, path: Path) -> None:
    fractional = bool((values != np.rint(values)).any())
    if values.max() >= HIGHEST_LOG or not fractional:
        return
    for name, back in (("log1p", BACK["log1p"]), ("log2p1", BACK["log2p1"])):
        sums = back(values).sum(1)
        if sums.std() <= STEADY * sums.mean():
            raise Refused(
                f"{path}: the values look like {name} of normalised expression (largest {values.max():.3g}, and their "
                f"{name} undone all samples sum to about {sums.mean():.3g}); mixing is linear: give counts, CPM or "
                f"TPM, or say --assume {name}"
            )
    raise Refused(
        f"{path}: the largest value is {values.max():.3g} and values are not whole: logarithms? give counts, CPM "
        "or TPM, or say --assume log1p or --assume log2p1"
    )


def _sum_duplicates(names: pd.Index, values: Array) -> tuple[tuple[str, ...], NDArray[np.str_], Array]:
    unique, place, times = np.unique(names.to_numpy().astype(str), return_inverse=True, return_counts=True)
    summed = np.zeros((len(values), len(unique)))
    np.add.at(summed.T, place, values.T)
    return tuple(map(str, unique[times > 1])), unique, summed


def _matched(
    values: Array,
    names: NDArray[np.str_],
    samples: NDArray[np.str_],
    genes: Sequence[str],
    summed: tuple[str, ...],
    path: Path,
) -> Bulk:
    wanted = np.array(genes)
    place = np.searchsorted(names, wanted)
    there = (place < len(names)) & (names[np.minimum(place, len(names) - 1)] == wanted)
    if there.mean() < LEAST_SHARE:
        raise Refused(
            f"{path}: {int(there.sum())} of the reference's {len(wanted)} genes are there, at least {LEAST_SHARE:.0%} "
            f"are needed; the bulk names them like {', '.join(names[:3])}, the reference like {', '.join(wanted[:3])}"
        )
    counts = values[:, place[there]]
    empty = np.flatnonzero(counts.sum(1) == 0)
    if len(empty):
        raise Refused(
            f"{path}: {len(empty)} samples have no expression in the genes of the reference, the first is "
            f"{samples[empty[0]]}; remove them"
        )
    return Bulk(counts, samples, np.flatnonzero(there), summed)


@dataclass(frozen=True, slots=True)
class Truth:
    """Measured proportions over the types of the reference, rows sum to 1; what the reference lacks was left out."""

    fractions: Array
    left_out: tuple[str, ...]


def read_truth(path: Path, samples: NDArray[np.str_], types: Sequence[str]) -> Truth:
    """Measured proportions, rows in the order of `samples`; types that the file lacks count as 0.

    Types that the reference lacks cannot be estimated: they are left out, the rest is scaled to 1, and their names are
    returned, to be told.

    Raises:
        Refused: a sample is missing, no column is a type of the reference, or a row is no proportion.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    table = pd.read_csv(path, sep=None, engine="python", index_col=0)
    table.index, table.columns = table.index.astype(str), table.columns.astype(str)
    missing = [sample for sample in samples if sample not in table.index]
    if missing:
        there = ", ".join(table.index[:5])
        raise Refused(f"{path}: {len(missing)} samples are not there, the first is {missing[0]}; it has {there} …")
    if not set(types) & set(table.columns):
        raise Refused(
            f"{path}: no column is a type of the reference ({', '.join(types)}); it has {', '.join(table.columns)}"
        )
    values = table.reindex(index=list(samples), columns=list(types), fill_value=0.0).to_numpy(dtype=np.float64)
    totals = values.sum(1)
    if not np.isfinite(values).all() or (values < 0).any() or (totals <= 0).any():
        raise Refused(f"{path}: proportions have to be finite, from 0 up, and above 0 in sum for each sample")
    return Truth(values / totals[:, None], tuple(kind for kind in table.columns if kind not in types))
