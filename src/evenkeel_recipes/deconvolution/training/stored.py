"""Samples as files that a manifest vouches for, so that nothing stale or foreign is ever trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.config import DataConfig
from evenkeel_recipes.deconvolution.data.mixtures import TARGET_SUM
from evenkeel_recipes.deconvolution.data.reference import Parts, Reference, type_sums
from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.deconvolution.training.samples import Prepared, Split
from evenkeel_recipes.kit.checklist import Check, checked, insist
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.files import digest_of, read_array, read_json
from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.refusal import Refused

FORMAT = 3
SPLITS = ("train", "val", "test")
AGAIN = "make the samples again (`simulate --force`, or `run` without --resume and --data-dir)"
WHOLE = 1e-6  # how far from a whole number of cells a proportion may be


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `write` said about its files.

    Attributes:
        genes: in the order of the columns of the samples.
        genes_sha256: of these names, as they stood when the samples were written.
        types: in the order of the columns of the proportions.
        unit: what no two splits share: "cell" or "donor".
        files: SHA-256, size in bytes and time of writing of each file.
        options: of the command that made the samples, those that change them.
    """

    genes: tuple[str, ...]
    genes_sha256: str
    types: tuple[str, ...]
    unit: str
    files: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]


def write(directory: Path, prepared: Prepared, parts: Parts, config: DataConfig) -> None:
    """Write the splits, a summary and, last, the manifest that vouches for them."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").unlink(missing_ok=True)  # it must not vouch for half of the new files
    for name, split, cells in _splits(prepared, parts):
        np.save(directory / f"bulk_{name}.npy", split.view)
        np.save(directory / f"bulk_totals_{name}.npy", split.totals)
        np.save(directory / f"props_{name}.npy", split.fractions)
        np.save(directory / f"cells_{name}.npy", cells.cells)
        for field in fields(split.fitted):
            np.save(directory / f"{field.name}_{name}.npy", getattr(split.fitted, field.name))
    _write_json(directory / "simulation_summary.json", _summary(prepared, parts))
    _write_json(directory / "manifest.json", _manifest(directory, parts, config))


def read_manifest(directory: Path) -> Manifest:
    """What vouches for the files of a directory.

    Raises:
        Refused: nothing does, or another version wrote it.
    """
    path = directory / "manifest.json"
    if not path.is_file():
        raise Refused(f"{directory} has no manifest.json: samples of unknown origin, or half written; {AGAIN}")
    found = read_json(path)
    if found.get("format") != FORMAT:
        raise Refused(f"{path} has format {found.get('format')!r}; this version reads {FORMAT}: {AGAIN}")
    return Manifest(
        genes=tuple(found["genes"]),
        genes_sha256=found["genes_sha256"],
        types=tuple(found["types"]),
        unit=found["split_unit"],
        files=found["files"],
        options=found["options"],
    )


def other_options(directory: Path, config: DataConfig) -> list[str]:
    """The options by which the samples in a directory were made otherwise than `config` would; empty: none.

    Raises:
        Refused: as `read_manifest`.
    """
    there, here = read_manifest(directory).options, options_of(config)
    return [
        f"--{key.replace('_', '-')} was {there.get(key)}, is {value}"
        for key, value in here.items()
        if there.get(key) != value
    ]


def options_of(config: DataConfig) -> dict[str, object]:
    """The options that change samples."""
    names = {field.name for field in fields(DataConfig)}
    return {key: value for key, value in as_mapping(config).items() if key in names}


def read(directory: Path, parts: Parts, science: Science) -> Prepared:
    """Read and check what `write` wrote.

    Raises:
        Refused: a file is missing or another one than the manifest vouches for, genes, types or cells are others than
            those of `parts`, or a value cannot be.
    """
    insist(of_files(directory))
    _same_names(read_manifest(directory), parts.train, directory / "manifest.json")
    for name, cells in zip(SPLITS, (parts.train, parts.validation, parts.test), strict=True):
        if not np.array_equal(read_array(directory / f"cells_{name}.npy"), cells.cells):
            path = directory / f"cells_{name}.npy"
            raise Refused(f"{path}: the samples were made of other cells than the reference has; {AGAIN}")
    return Prepared(*(_read_split(directory, name, parts.train, science) for name in SPLITS))


def of_files(directory: Path) -> Iterator[Check]:
    """The checks that need no reference: what vouches for the files, and that no split knows another.

    Raises:
        Refused: as `read_manifest`.
    """
    manifest = read_manifest(directory)
    yield checked("manifest", _reordered(directory, manifest))
    yield checked("files as written", _changed(directory, manifest))
    yield checked("splits share no cell", _shared(directory))
    yield checked("proportions are counts of cells", _no_counts(directory, int(manifest.options["n_cells"])))


def _reordered(directory: Path, manifest: Manifest) -> str:
    found = _digest_of_names(manifest.genes)
    if found == manifest.genes_sha256:
        return ""
    return (
        f"{directory / 'manifest.json'}: the genes stand in another order than was written (sha256 of their names is "
        f"{found[:12]}, was {manifest.genes_sha256[:12]}); {AGAIN}"
    )


def _digest_of_names(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _changed(directory: Path, manifest: Manifest) -> str:
    """Which file is another one than was written."""
    for name, vouched in manifest.files.items():
        path = directory / name
        if not path.is_file():
            return f"{path} is missing; {AGAIN}"
        if (found := digest_of(path)) != vouched["sha256"]:
            return (
                f"{path}: sha256 is {found[:12]}, the manifest says {vouched['sha256'][:12]} "
                f"(written {vouched['written']}, {vouched['bytes']} bytes; now {path.stat().st_size}); {AGAIN}"
            )
    return ""


def _shared(directory: Path) -> str:
    """Which cells two splits have in common."""
    names = {split: set(read_array(directory / f"cells_{split}.npy").tolist()) for split in SPLITS}
    for place, one in enumerate(SPLITS):
        for other in SPLITS[place + 1 :]:
            if both := names[one] & names[other]:
                return (
                    f"{directory}: {len(both)} cells are in {one} and in {other}, the first is {min(both)}; scores on "
                    "such samples say nothing about new ones"
                )
    return ""


def _no_counts(directory: Path, n_cells: int) -> str:
    """Which proportions are no share of so many cells."""
    for name in SPLITS:
        path = directory / f"props_{name}.npy"
        numbers = read_array(path) * n_cells
        off = np.flatnonzero(~(np.abs(numbers - np.rint(numbers)) <= WHOLE * n_cells).all(1))
        if len(off):
            return (
                f"{path}: {len(off)} samples have proportions that no {n_cells} cells can have, the first is row "
                f"{off[0]}; the truth is what was drawn, not what it was drawn from"
            )
    return ""


def _read_split(directory: Path, name: str, reference: Reference, science: Science) -> Split:
    view, totals, fractions = (
        read_array(directory / f"{kind}_{name}.npy") for kind in ("bulk", "bulk_totals", "props")
    )
    science.validated(directory / f"bulk_{name}.npy", view, fractions, reference)
    fitted = Fitted(*(read_array(directory / f"{field.name}_{name}.npy") for field in fields(Fitted)))
    return Split(fitted, view, totals, fractions)


def _same_names(manifest: Manifest, reference: Reference, path: Path) -> None:
    for kind, there, here in (
        ("genes", manifest.genes, reference.genes),
        ("types", manifest.types, reference.types),
    ):
        if there == here:
            continue
        if sorted(there) == sorted(here):
            place = next(i for i, (a, b) in enumerate(zip(there, here, strict=True)) if a != b)
            raise Refused(f"{path}: the {kind} stand in another order than the reference's, from {there[place]} on")
        strangers = sorted(set(there) ^ set(here))
        raise Refused(f"{path}: {len(strangers)} {kind} differ from the reference's, the first is {strangers[0]}")


def _splits(prepared: Prepared, parts: Parts) -> Iterator[tuple[str, Split, Reference]]:
    yield "train", prepared.train, parts.train
    yield "val", prepared.val, parts.validation
    yield "test", prepared.test, parts.test


def _manifest(directory: Path, parts: Parts, config: DataConfig) -> Mapping[str, object]:
    return {
        "format": FORMAT,
        "evenkeel": version("evenkeel"),
        "target_sum": TARGET_SUM,
        "log1p": True,
        "genes": list(parts.train.genes),
        "genes_sha256": _digest_of_names(parts.train.genes),
        "types": list(parts.train.types),
        "split_unit": parts.unit,
        "files": {path.name: _vouched(path) for path in sorted(directory.glob("*.npy"))},
        "options": options_of(config),
    }


def _vouched(path: Path) -> Mapping[str, object]:
    state = path.stat()
    written = datetime.fromtimestamp(state.st_mtime, timezone.utc).isoformat(timespec="seconds")
    return {"sha256": digest_of(path), "bytes": state.st_size, "written": written}


def _summary(prepared: Prepared, parts: Parts) -> Mapping[str, object]:
    """What people want to know about samples without opening them."""
    train = parts.train
    sizes = np.bincount(train.labels, minlength=len(train.types))
    return {
        "splits": {
            name: {
                "samples": len(split.view),
                "cells": len(cells.cells),
                "range": _plain([split.view.min(), split.view.max()]),
                "mean": float(split.view.mean()),
                "totals": _plain(np.quantile(split.totals, (0, 0.5, 1))),
                "mean_fractions": dict(zip(train.types, _plain(split.fractions.mean(0)), strict=True)),
            }
            for name, split, cells in _splits(prepared, parts)
        },
        "split_unit": parts.unit,
        "cells_of_type": dict(zip(train.types, sizes.tolist(), strict=True)),
        "counts_of_a_cell": dict(zip(train.types, _plain(type_sums(train).sum(1) / sizes), strict=True)),
    }


def _plain(values: Sequence[Any] | NDArray[Any]) -> list[float]:
    return [float(value) for value in values]


def _write_json(path: Path, values: Mapping[str, object]) -> None:
    write_whole(path, json.dumps(values, indent=1, allow_nan=False).encode())
