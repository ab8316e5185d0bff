"""A user's bulk samples: read, checked, and brought to the genes of the reference by name."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.deconvolution.data.genes import spelled
from evenkeel_recipes.kit.files import read_array
from evenkeel_recipes.kit.refusal import Refused

Array = NDArray[np.float64]
LEAST_SHARE = 0.6  # of the reference's genes that the bulk has to have
HIGHEST_LOG = 30.0  # no logarithm of a count is above it
STEADY = 0.05  # relative spread of the rows' sums of expm1 that normalised logarithms have
COMPOSED = 1e-3  # how far from 1 fractions of all counts may sum
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
    """Read samples, with genes as rows or as columns, whichever names fit.

    .h5ad; .csv or .tsv, with a header and a first column of names; .npy, with the names of the genes beside it in
    genes.txt, a line each, and of the samples in samples.txt, where they have names.

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
    table = _turned(READERS.get(path.suffix, read_text)(path), genes)
    if table.empty:
        raise Refused(f"{path}: no samples, or no genes: {table.shape[0]} x {table.shape[1]}")
    values = _numbers(table, path, "gene")
    if assume == "linear":
        _refuse_logarithms(values, path)
    elif values.max() >= HIGHEST_LOG:
        raise Refused(f"{path}: {values.max():.6g} is no logarithm of expression; leave out --assume {assume}")
    linear = np.asarray(BACK[assume](values))
    summed, names, linear = _sum_duplicates(spelled(table.columns.astype(str)), linear)
    return _matched(linear, names, table.index.to_numpy().astype(str), genes, summed, path)


def _turned(table: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    """Samples as rows: genes are where more of the reference's names are."""
    known = set(genes)
    in_rows, in_columns = (len(known & set(spelled(names.astype(str)))) for names in (table.index, table.columns))
    return table.T if in_rows > in_columns else table


def _of_anndata(path: Path) -> pd.DataFrame:
    try:
        data = anndata.read_h5ad(path)
    except (OSError, KeyError) as error:
        raise Refused(f"{path} is no AnnData file (.h5ad): {error}") from error
    values = data.layers.get("counts", data.X)
    if values is None:
        raise Refused(f"{path} has neither layers['counts'] nor X")
    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
    return pd.DataFrame(dense, index=data.obs_names, columns=data.var_names)


def _of_array(path: Path) -> pd.DataFrame:
    values, beside = read_array(path), path.with_name("genes.txt")
    genes = _lines(beside)
    if values.ndim != 2 or len(genes) not in values.shape:  # noqa: PLR2004  samples, genes
        raise Refused(f"{path} has shape {values.shape}, {beside} {len(genes)} names: one side has to be the genes")
    table = pd.DataFrame(values if values.shape[1] == len(genes) else values.T, columns=genes)
    named = path.with_name("samples.txt")
    samples = _lines(named) if named.is_file() else [f"sample{row}" for row in range(len(table))]
    if len(samples) != len(table):
        raise Refused(f"{named} has {len(samples)} names, {path} {len(table)} samples")
    return table.set_axis(samples)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise Refused(f"there is no {path}: it has to name the genes of the array beside it, a line each")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_text(path: Path) -> pd.DataFrame:
    """A table with names in its header and first column; a name may stand more than once.

    What separates columns is the one of comma, semicolon and tab that the header has most of.

    Raises:
        Refused: it is no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
        separator = max(",;\t", key=first.count)
        names = next(csv.reader([first], delimiter=separator), [])
        table = pd.read_csv(path, sep=separator, header=None, skiprows=1, index_col=0, low_memory=False)
    except pd.errors.EmptyDataError:
        raise Refused(f"{path}: no samples, or no genes: nothing stands below the first line") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is no table with a header and a first column of names: {error}") from error
    header = names[len(names) - table.shape[1] :]  # the first column may have a name or not
    if len(header) != table.shape[1] or not len(header) <= len(names) <= len(header) + 1:
        raise Refused(
            f"{path}: the header has {len(names)} names, the rows {table.shape[1]} values; columns are separated by "
            "commas, semicolons or tabs"
        )
    return table.set_axis(header, axis=1)


READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {".h5ad": _of_anndata, ".npy": _of_array}


def _numbers(table: pd.DataFrame, path: Path, kind: str) -> Array:
    try:
        values: Array = table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise Refused(f"{path}: not all values are numbers: {error}") from error
    for bad, what in ((~np.isfinite(values), "not finite"), (values < 0, "negative")):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise Refused(
                f"{path}: {int(bad.sum())} values are {what}, the first is {values[row, column]} in sample "
                f"{table.index[row]}, {kind} {table.columns[column]}"
            )
    return values


def _refuse_logarithms(values: Array, path: Path) -> None:
    fractional = bool((values != np.rint(values)).any())
    composed = bool((np.abs(values.sum(1) - 1) < COMPOSED).all())  # fractions of all counts are linear
    if values.max() >= HIGHEST_LOG or not fractional or composed:
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


def _sum_duplicates(names: NDArray[np.str_], values: Array) -> tuple[tuple[str, ...], NDArray[np.str_], Array]:
    unique, place, times = np.unique(names, return_inverse=True, return_counts=True)
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
            f"are needed; the bulk names them like {', '.join(names[:3])}, the reference like {', '.join(wanted[:3])}; "
            "where a column of the reference's var has the names of the bulk, train with --gene-key COLUMN"
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
    table = read_text(path)
    table.index, table.columns = table.index.astype(str), table.columns.astype(str)
    for kind, names in (("samples", table.index), ("types", table.columns)):
        if names.has_duplicates:
            raise Refused(f"{path}: {kind} stand there more than once, such as {names[names.duplicated()][0]}")
    missing = [sample for sample in samples if sample not in table.index]
    if missing:
        there = ", ".join(table.index[:5])
        raise Refused(f"{path}: {len(missing)} samples are not there, the first is {missing[0]}; it has {there} …")
    if not set(types) & set(table.columns):
        raise Refused(
            f"{path}: no column is a type of the reference ({', '.join(types)}); it has {', '.join(table.columns)}"
        )
    wanted = table.reindex(index=list(samples), columns=list(types), fill_value=0.0)
    values = _numbers(wanted, path, "type")
    totals = values.sum(1)
    if (totals == 0).any():
        raise Refused(f"{path}: all types of the reference are 0 in sample {samples[np.argmin(totals)]}")
    return Truth(values / totals[:, None], tuple(kind for kind in table.columns if kind not in types))
