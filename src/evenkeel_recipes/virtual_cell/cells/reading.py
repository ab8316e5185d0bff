"""Cells out of an AnnData file, with what was done to them, checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata.io import read_elem
from numpy.typing import NDArray
from scipy import sparse

from evenkeel_recipes.kit.counts import matrix_of, opened, read_cells
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Treatment, Vocabulary, parse
from evenkeel_recipes.virtual_cell.cells.data import Rows, Study
from evenkeel_recipes.virtual_cell.config import DataConfig

ROWS_LOOKED_AT = 512
BYTES_A_COUNT = 40  # while a matrix is read: float64 values and indices, their copies, and float32 values at last
SPATIAL_DIMS = (2, 3)


def read_study(config: DataConfig, path: Path) -> Study:
    """The cells of a file.

    Raises:
        Refused: what is in the file cannot be trained on; the sentence says what was found and what to do.
    """
    present = _layout(path, config)
    batch_key = _chosen(config.batch_key, "batch", present.columns)
    type_key = _chosen(config.cell_type_key, "cell_type", present.columns)
    columns = [key for key in (config.perturbation_key, batch_key, type_key, config.dose_key) if key]

    def choose(obs: pd.DataFrame) -> Rows:
        kinds = [obs[key].to_numpy().astype(str) for key in (config.perturbation_key, type_key) if key]
        rows = at_most(kinds, config.cells_per_condition, np.random.default_rng(config.seed))
        _refuse_beyond_memory(present, len(rows), path)
        return rows

    cells = read_cells(path, present.layer, list(dict.fromkeys(columns)), choose)
    obs, n_cells = cells.obs, len(cells.obs)
    labels = obs[config.perturbation_key].to_numpy().astype(str)
    doses = _doses(obs, config.dose_key, path)
    given = [parse(label, config.control, config.combo_sep, dose) for label, dose in zip(labels, doses, strict=True)]
    batches, batch = _named(obs, batch_key)
    kinds, kind = _named(obs, type_key)
    treatments = tuple(sorted(set(given)))
    place = {treatment: row for row, treatment in enumerate(treatments)}
    if Treatment(()) not in place:
        raise Refused(_no_control(labels, config, path))
    if len(treatments) == 1:
        raise Refused(f"{path}: all {n_cells} cells are {config.control!r}; there is no perturbation to learn")
    singles, features = _perturbations(treatments, config)
    vocabulary = Vocabulary(cells.genes, singles, batches, kinds, config.control, config.combo_sep)
    study = Study(
        vocabulary=vocabulary, counts=cells.counts, treatments=treatments,
        treatment=np.array([place[treatment] for treatment in given], dtype=np.int64), batch=batch, cell_type=kind,
        spatial=_spatial(path, config.spatial_key, obs.index), names=obs.index.to_numpy().astype(str),
        features=features,
    )  # fmt: skip
    absent = tuple(
        f"obs has no column {name!r}: all cells count as one {word} (name one with {flag})"
        for name, key, word, flag in (
            ("batch", batch_key, "batch", "--batch-key"),
            ("cell_type", type_key, "type", "--cell-type-key"),
        )
        if not key
    )
    recovered = ("X holds logarithms; raw counts were recovered from them, exactly",) if cells.recovered else ()
    return replace(study, notices=(*absent, *recovered, *notices_about(study, config.min_cells)))


def vocabulary_in(config: DataConfig, path: Path) -> Vocabulary:
    """The names in a file, as `read_study` gives them; no count is read.

    Raises:
        Refused: a column or the layer is not there.
    """
    columns = _layout(path, config).columns
    with opened(path) as file:
        obs, genes = read_elem(file["obs"]), tuple(map(str, read_elem(file["var"]).index))
    labels = np.unique(obs[config.perturbation_key].to_numpy().astype(str))
    singles, _ = _perturbations([parse(label, config.control, config.combo_sep) for label in labels], config)
    batches, _ = _named(obs, _chosen(config.batch_key, "batch", columns))
    kinds, _ = _named(obs, _chosen(config.cell_type_key, "cell_type", columns))
    return Vocabulary(genes, singles, batches, kinds, config.control, config.combo_sep)


def _perturbations(treatments: Sequence[Treatment], config: DataConfig) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The single perturbations and their features: those of the file that is given, else each its own."""
    singles = tuple(sorted({single for treatment in treatments for single in treatment.singles}))
    if config.perturbation_features:
        return read_features(config.perturbation_features, singles)
    return singles, np.eye(len(singles), dtype=np.float32)


def notices_about(study: Study, min_cells: int) -> Iterator[str]:
    """What is unusual about the cells, though they can be trained on."""
    counted = np.bincount(study.treatment, minlength=len(study.treatments))
    few = [
        f"{study.vocabulary.name(treatment)} ({n})"
        for treatment, n in zip(study.treatments, counted, strict=True)
        if n < min_cells
    ]
    if few:
        yield f"{len(few)} of {len(counted)} treatments have fewer than {min_cells} cells: {', '.join(few[:12])}"
    control = study.treatment == study.control
    with_control = set(zip(study.batch[control].tolist(), study.cell_type[control].tolist(), strict=True))
    every = sorted(set(zip(study.batch.tolist(), study.cell_type.tolist(), strict=True)) - with_control)
    if every:
        words = study.vocabulary
        pairs = ", ".join(f"{words.batches[b]} / {words.cell_types[c]}" for b, c in every[:8])
        yield f"{len(every)} pairs of batch and cell type have no control cell: {pairs}"


def at_most(kinds: Sequence[NDArray[np.str_]], most: int, rng: np.random.Generator) -> Rows:
    """Rows of at most `most` cells of each combination of kinds; all of them for 0."""
    if not most:
        return np.arange(len(kinds[0]))
    _, group = np.unique(np.char.add(kinds[0], kinds[-1]) if len(kinds) > 1 else kinds[0], return_inverse=True)
    shuffled = rng.permutation(len(group))
    return np.sort(np.concatenate([shuffled[group[shuffled] == number][:most] for number in range(group.max() + 1)]))


def read_features(path: Path, needed: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names and standardised numbers of perturbations; those beyond `needed` can be asked for later.

    Raises:
        Refused: one that is needed is missing, named twice, or has a number that is not finite.
    """
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    table = pd.read_csv(path, index_col=0)
    missing = [name for name in needed if name not in table.index]
    if missing or table.index.has_duplicates:
        twice = ", ".join(map(str, table.index[table.index.duplicated()][:8]))
        raise Refused(
            f"{path}: one row for each perturbation is needed; missing {', '.join(missing[:8]) or 'none'}, "
            f"named twice {twice or 'none'}"
        )
    try:
        numbers = table.to_numpy(dtype=np.float64)
    except ValueError as error:
        raise Refused(f"{path}: features have to be numbers: {error}") from error
    if not np.isfinite(numbers).all():
        raise Refused(f"{path}: {int((~np.isfinite(numbers)).sum())} features are not finite")
    spread = numbers.std(0)
    kept = numbers[:, spread > 0]
    scaled = (kept - kept.mean(0)) / spread[spread > 0] / np.sqrt(max(1, kept.shape[1]))
    return tuple(map(str, table.index)), scaled.astype(np.float32)


class _Layout(NamedTuple):
    columns: list[str]
    layer: str
    bytes_a_cell: float


def _layout(path: Path, config: DataConfig) -> _Layout:
    """What a file holds, from its head and a few rows of its counts."""
    with opened(path) as file:
        layers, columns = list(file.get("layers", ())), list(map(str, read_elem(file["obs"]).columns))
        if config.counts_layer is not None and config.counts_layer not in layers:
            raise Refused(
                f"{path} has no layer {config.counts_layer!r}; it has {', '.join(layers) or 'none'}. Name one with "
                "--counts-layer, or leave it out where X holds the counts"
            )
        for flag, key in (("--perturbation-key", config.perturbation_key), ("--batch-key", config.batch_key),
                          ("--cell-type-key", config.cell_type_key), ("--dose-key", config.dose_key)):  # fmt: skip
            if key is not None and key not in columns:
                raise Refused(f"{path}: obs has no column {key!r} ({flag}); it has {', '.join(columns) or 'none'}")
        layer = config.counts_layer or "counts"
        head = sparse.csr_matrix(matrix_of(file, layer)[:ROWS_LOOKED_AT])
        return _Layout(columns, layer, BYTES_A_COUNT * head.nnz / max(1, head.shape[0]))


def _refuse_beyond_memory(present: _Layout, n_cells: int, path: Path) -> None:
    needed, there = present.bytes_a_cell * n_cells, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        fitting = int(there / present.bytes_a_cell)
        raise Refused(
            f"{path}: reading {n_cells:,} cells needs about {needed / 1e9:.1f} GB, {there / 1e9:.1f} GB of memory are "
            f"free (enough for {fitting:,} cells); take some of each with --cells-per-condition"
        )


def _chosen(key: str | None, usual: str, columns: Sequence[str]) -> str | None:
    return key if key is not None else usual if usual in columns else None


def _named(obs: pd.DataFrame, key: str | None) -> tuple[tuple[str, ...], Rows]:
    labels = obs[key].to_numpy().astype(str) if key else np.full(len(obs), "all")
    names, places = np.unique(labels, return_inverse=True)
    return tuple(map(str, names)), places.astype(np.int64)


def _doses(obs: pd.DataFrame, key: str | None, path: Path) -> NDArray[np.float64]:
    if key is None:
        return np.ones(len(obs))
    doses: NDArray[np.float64] = pd.to_numeric(obs[key], errors="coerce").to_numpy(dtype=np.float64)
    if (bad := ~(np.isfinite(doses) & (doses >= 0))).any():
        raise Refused(f"{path}: {int(bad.sum())} doses in obs[{key!r}] are no numbers from 0 up, such as "
                      f"{obs[key].to_numpy()[bad][0]!r}")  # fmt: skip
    return doses


def _spatial(path: Path, key: str | None, names: pd.Index) -> NDArray[np.float32] | None:
    if key is None:
        return None
    with opened(path) as file:
        present = list(file.get("obsm", ()))
        if key not in present:
            raise Refused(f"{path}: obsm has no {key!r}; it has {', '.join(present) or 'none'}")
        at = pd.Index(read_elem(file["obs"]).index).get_indexer(names)
        where = _as_numbers(read_elem(file["obsm"][key]), f"{path}: obsm[{key!r}]")[at]
    bad = int((~np.isfinite(where)).sum())
    if bad or where.ndim != 2 or where.shape[1] not in SPATIAL_DIMS:  # noqa: PLR2004  # cells, axes
        raise Refused(
            f"{path}: obsm[{key!r}] has shape {where.shape} and {bad} values that are not finite; 2 or 3 finite "
            "coordinates a cell are needed"
        )
    spread = where.std(0)
    scaled: NDArray[np.float32] = ((where - where.mean(0)) / np.where(spread > 0, spread, 1.0)).astype(np.float32)
    return scaled


def _as_numbers(found: object, what: str) -> NDArray[np.float64]:
    try:
        return np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Refused(f"{what} holds no numbers, but {type(found).__name__}: {error}") from error


def _no_control(labels: NDArray[np.str_], config: DataConfig, path: Path) -> str:
    names, counted = np.unique(labels, return_counts=True)
    often = ", ".join(f"{str(names[i])!r} ({counted[i]})" for i in np.argsort(-counted)[:8])
    return (
        f"{path}: no cell is {config.control!r} in obs[{config.perturbation_key!r}]; effects are measured against "
        f"controls. The most frequent values are {often}; name the untreated one with --control"
    )
