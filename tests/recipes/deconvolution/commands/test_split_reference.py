"""`prepare`: two files of cells that a run can read, with no donor in both."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pytest

from evenkeel_recipes.deconvolution.command import commands
from evenkeel_recipes.deconvolution.data.reference import read_reference

PBMC = Path(__file__).parents[5] / "shared/data/single_cell/pbmc68k_reduced.h5ad"


def prepared(reference: Path, out: Path, *more: str) -> int:
    return commands.call(["prepare", "--reference", str(reference), "--out", str(out), "--n-genes", "120", *more])


def test_donors_are_kept_apart_and_the_files_can_be_read(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(reference, tmp_path, "--donor-key", "donor") == 0
    assert "no donor is in both" in capsys.readouterr().out
    whole = anndata.read_h5ad(reference)
    train, test = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("train", "test"))
    assert not set(train.obs["donor"]) & set(test.obs["donor"])
    assert set(train.obs_names) | set(test.obs_names) == set(whole.obs_names)
    for part in (train, test):
        assert part.shape[1] == 120
        assert (part.obs["cell_type_int"] == part.obs["cell_type"].astype(str).str[4:].astype(int)).all()
        assert (part.layers["counts"] != whole[part.obs_names, part.var_names].X).nnz == 0
        assert np.expm1(part.X.toarray()).sum(1) == pytest.approx(1e4, rel=1e-4)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["genes"] == list(train.var_names)
    assert sum(manifest["cells"]["train"].values()) == len(train)
    again = read_reference(tmp_path / "train.h5ad", "cell_type", "counts", "donor", 1000, 0)
    assert again.counts.sum() == train.layers["counts"].sum()


def test_nothing_is_overwritten_unasked(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepared(reference, tmp_path) == 0
    first = (tmp_path / "train.h5ad").read_bytes()
    assert prepared(reference, tmp_path, "--seed", "1") == 4
    assert "--force overwrites it" in capsys.readouterr().err
    assert (tmp_path / "train.h5ad").read_bytes() == first
    assert prepared(reference, tmp_path, "--seed", "1", "--force") == 0
    assert (tmp_path / "train.h5ad").read_bytes() != first


def test_donors_that_cannot_be_kept_apart_are_told(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    each_a_type = ("--donor-key", "donor", "--cell-type-key", "donor")
    assert prepared(reference, tmp_path, *each_a_type) == 0
    assert "could not be kept apart: no division gives both parts all types" in capsys.readouterr().out
    assert json.loads((tmp_path / "manifest.json").read_text())["split_unit"] == "cell"


@pytest.mark.skipif(not PBMC.is_file(), reason="needs pbmc68k_reduced.h5ad")
def test_types_of_few_cells_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.call(["prepare", "--reference", str(PBMC), "--out", str(tmp_path / "hvg")]) == 0
    told = capsys.readouterr().out
    assert "fewer than 10 cells of CD4+/CD45RA+/CD25- Naive T (8)" in told
    assert "700 cells of 10 types, 765 of 765 genes" in told
