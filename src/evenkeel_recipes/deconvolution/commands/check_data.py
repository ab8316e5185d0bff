"""`validate`: samples and cells, checked before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.config import ValidateConfig
from evenkeel_recipes.deconvolution.data import validate
from evenkeel_recipes.deconvolution.data.reference import FEW_CELLS, few_cells, read_reference
from evenkeel_recipes.deconvolution.training.stored import SPLITS, Manifest, of_files, read_manifest
from evenkeel_recipes.kit.checklist import Check, Grade, checked, noted, refusals_too, told
from evenkeel_recipes.kit.files import read_array, read_json
from evenkeel_recipes.kit.refusal import DONE, REFUSED, Refused

ALL = 2**31  # more cells of a type than any file has


def check_data(config: ValidateConfig) -> int:
    """Print what passes and what is wrong; status 4 where anything is."""
    if config.file is not None or config.props is not None:
        checks = list(refusals_too("files", of_two_files(config.file, config.props)))
    else:
        checks = list(refusals_too("directory", of_directory(config.data_dir)))
    if config.reference is not None:
        checks += list(refusals_too("reference", of_reference(config.reference, config)))
    for line in told(checks):
        click.echo(line)
    return REFUSED if any(check.grade is Grade.FAIL for check in checks) else DONE


def of_directory(directory: Path) -> Iterator[Check]:
    """The checks of all samples that `run` or `simulate` wrote, and of the manifest that vouches for them."""
    yield from of_files(directory)
    manifest = read_manifest(directory)
    for name in SPLITS:
        for check in _of_split(directory, name, manifest):
            yield replace(check, what=f"{name}: {check.what}")


def _of_split(directory: Path, name: str, manifest: Manifest) -> Iterator[Check]:
    path = directory / f"bulk_{name}.npy"
    props = directory / f"props_{name}.npy"
    view, fractions = _table(path), _table(props)
    agree = view.shape[1] == len(manifest.genes) and fractions.shape == (len(view), len(manifest.types))
    found = f"{path}: samples {view.shape} and proportions {fractions.shape}"
    named = f"{len(manifest.genes)} genes and {len(manifest.types)} types"
    yield checked("shapes", "" if agree else f"{found}; the manifest has {named}")
    if agree:
        yield from validate.of_bulk(path, view, manifest.genes)
        yield from validate.oddities_of_bulk(path, view, manifest.genes)
    yield from validate.of_proportions(props, fractions)


def of_two_files(bulk: Path | None, props: Path | None) -> Iterator[Check]:
    """The checks of samples and their proportions, by whomever they were written."""
    if bulk is not None:
        view = _table(bulk)
        genes = _genes_beside(bulk, view.shape[1])
        yield from validate.of_bulk(bulk, view, genes)
        yield from validate.oddities_of_bulk(bulk, view, genes)
    if props is not None:
        fractions = _table(props)
        yield from validate.of_proportions(props, fractions)
        if bulk is not None:
            wrong = f"{bulk} has {len(view)} rows, {props} {len(fractions)}" if len(view) != len(fractions) else ""
            yield checked("rows agree", wrong)


def of_reference(path: Path, config: ValidateConfig) -> Iterator[Check]:
    """What is unusual about the cells of a reference, and can be right.

    Raises:
        Refused: as `read_reference`.
    """
    cells = read_reference(path, config.cell_type_key, config.counts_layer, config.donor_key, ALL, 0, config.gene_key)
    yield checked("reference", "")
    few = few_cells(cells)
    yield noted(f"{FEW_CELLS} cells of each type", f"fewer of {', '.join(few)}" if few else "")
    silent = np.flatnonzero(np.asarray(cells.counts.sum(0)).ravel() == 0)
    unseen = f"{len(silent)} have none, such as {cells.genes[silent[0]]}" if len(silent) else ""
    yield noted("counts of each gene", unseen)


def _table(path: Path) -> NDArray[Any]:
    found = read_array(path)
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.number) or not found.size:  # noqa: PLR2004  rows, columns
        raise Refused(f"{path} holds {found.dtype} {found.shape}; a table of numbers, a row a sample, is needed")
    return found


def _genes_beside(path: Path, number: int) -> Sequence[str]:
    """Names of the genes where a manifest lies beside the file, else their positions."""
    manifest = path.parent / "manifest.json"
    names = read_json(manifest).get("genes", ()) if manifest.is_file() else ()
    return names if len(names) == number else [f"in column {place}" for place in range(number)]
