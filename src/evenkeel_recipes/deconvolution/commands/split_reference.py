"""`prepare`: a reference, divided into cells to train on and cells to test on, in the genes that matter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import anndata
import click
import numpy as np
import pandas as pd

from evenkeel_recipes.deconvolution.config import PrepareConfig
from evenkeel_recipes.deconvolution.data.cells import read_cells_of
from evenkeel_recipes.deconvolution.data.mixtures import TARGET_SUM
from evenkeel_recipes.deconvolution.data.reference import Reference, divide, shares_donors
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.files import digest_of
from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.refusal import DONE, Refused

SHARES = (0.8, 0.2)


def split_reference(config: PrepareConfig) -> int:
    """Write train.h5ad, test.h5ad and, last, the manifest.

    Each file has counts in `layers["counts"]`, log1p of counts per ten thousand in X, and in obs `cell_type`,
    `cell_type_int` (the place among the sorted names of the types, in both files alike) and, where known, `donor`.

    Raises:
        Refused: the reference cannot be read, or files are there already and --force was not said.
    """
    manifest = config.out / "manifest.json"
    if manifest.is_file() and not config.force:
        raise Refused(f"{config.out} holds a prepared reference already; --force overwrites it, or name another --out")
    cells = read_cells_of(config, click.echo)
    parts = dict(zip(("train", "test"), divide(cells, SHARES, config.seed), strict=True))
    unit = "cell" if shares_donors(parts.values()) else "donor"
    config.out.mkdir(parents=True, exist_ok=True)
    manifest.unlink(missing_ok=True)
    for name, part in parts.items():
        _write_cells(config.out / f"{name}.h5ad", part)
        sizes = np.bincount(part.labels, minlength=len(part.types)).tolist()
        counted = ", ".join(f"{kind} {size}" for kind, size in zip(part.types, sizes, strict=True))
        click.echo(f"{name}.h5ad: {len(part.cells):,} cells ({counted})")
    facts = _facts(config, parts, unit)
    write_whole(manifest, json.dumps(facts, indent=1, allow_nan=False).encode())
    click.echo(f"no {unit} is in both" + (_why_not_donors(config) if unit == "cell" else ""))
    return DONE


def _write_cells(path: Path, part: Reference) -> None:
    totals = np.asarray(part.counts.sum(1)).ravel()
    logs = part.counts.multiply((TARGET_SUM / totals)[:, None]).tocsr().log1p().astype(np.float32)
    obs = pd.DataFrame({"cell_type": np.array(part.types)[part.labels], "cell_type_int": part.labels}, index=part.cells)
    if part.donors is not None:
        obs["donor"] = part.donors
    counts = part.counts.astype(np.int32)
    data = anndata.AnnData(logs, obs=obs, var=pd.DataFrame(index=list(part.genes)), layers={"counts": counts})
    partial = path.with_name(f".{path.name}")
    data.write_h5ad(partial, compression="gzip")
    partial.replace(path)


def _facts(config: PrepareConfig, parts: Mapping[str, Reference], unit: str) -> Mapping[str, object]:
    train = parts["train"]
    return {
        "format": 1,
        "evenkeel": version("evenkeel"),
        "genes": list(train.genes),
        "types": list(train.types),
        "split_unit": unit,
        "cells": {
            name: dict(zip(part.types, np.bincount(part.labels, minlength=len(part.types)).tolist(), strict=True))
            for name, part in parts.items()
        },
        "files": {f"{name}.h5ad": digest_of(config.out / f"{name}.h5ad") for name in parts},
        "reference_sha256": digest_of(config.reference),
        "options": as_mapping(config),
    }


def _why_not_donors(config: PrepareConfig) -> str:
    if config.donor_key is None:
        return "; where donors are known, name their column with --donor-key"
    return f"; the donors of obs[{config.donor_key!r}] could not be kept apart: no division gives both parts all types"
