"""Samples on disk: what was written comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.config import DataConfig
from evenkeel_recipes.deconvolution.data.reference import Parts, three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import Prepared, simulate
from evenkeel_recipes.deconvolution.training.stored import other_options, read, read_manifest, write
from evenkeel_recipes.kit.refusal import Refused

CONFIG = DataConfig(n_train=40, n_val=24, n_test=10, n_cells=50, redraws=2)


def parts_of(seed: int) -> Parts:
    return three_parts(draw_cells(make_world(0, n_genes=300), 300, seed), 0)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return simulate(parts_of(0), CONFIG, healthy())


@pytest.fixture
def directory(tmp_path: Path, prepared: Prepared) -> Path:
    write(tmp_path / "data", prepared, parts_of(0), CONFIG)
    return tmp_path / "data"


def test_what_was_written_comes_back(directory: Path, prepared: Prepared) -> None:
    found = read(directory, parts_of(0), healthy())
    for name in ("train", "val", "test"):
        here, there = getattr(prepared, name), getattr(found, name)
        for field in ("view", "totals", "fractions"):
            assert np.array_equal(getattr(here, field), getattr(there, field))
        assert np.array_equal(here.fitted.estimates, there.fitted.estimates)
    assert (found.train.totals > found.train.view.sum(1)).all()
    manifest = read_manifest(directory)
    assert manifest.unit == "donor"
    kinds = {"bulk", "bulk_totals", "props", "cells", *(field.name for field in fields(Fitted))}
    assert set(manifest.files) == {f"{kind}_{name}.npy" for kind in kinds for name in ("train", "val", "test")}
    assert {"sha256", "bytes", "written"} == set(manifest.files["bulk_train.npy"])
    summary = json.loads((directory / "simulation_summary.json").read_text())
    assert summary["splits"]["train"]["samples"] == 40
    assert 0 <= summary["splits"]["val"]["range"][0] < summary["splits"]["val"]["range"][1] <= 9.2105


def changed_manifest(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        path = directory / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return apply


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda where: (where / "manifest.json").unlink(), "has no manifest.json: samples of unknown origin"),
        (lambda where: (where / "manifest.json").write_text("{"), "is damaged, or no JSON"),
        (changed_manifest(lambda found: found.update(format=1)), "has format 1; this version reads 3"),
        (changed_manifest(lambda found: found["genes"].reverse()), "the genes stand in another order"),
        (lambda where: (where / "props_val.npy").unlink(), "props_val.npy is missing"),
        (lambda where: np.save(where / "bulk_test.npy", np.zeros((10, 300))), "bulk_test.npy: sha256 is"),
    ],
)
def test_what_has_changed_since_is_refused(change: Callable[[Path], None], sentence: str, directory: Path) -> None:
    change(directory)
    with pytest.raises(Refused, match=sentence):
        read(directory, parts_of(0), healthy())


def test_samples_of_other_cells_are_refused(tmp_path: Path, directory: Path, prepared: Prepared) -> None:
    with pytest.raises(Refused, match=r"cells_train.npy: the samples were made of other cells"):
        read(directory, parts_of(1), healthy())
    parts = parts_of(0)
    write(tmp_path / "leaky", prepared, Parts(parts.train, parts.validation, parts.train), CONFIG)
    with pytest.raises(Refused, match="cells are in train and in test"):
        read(tmp_path / "leaky", parts_of(0), healthy())


def test_a_truth_that_no_cells_can_have_is_refused(tmp_path: Path, prepared: Prepared) -> None:
    prepared.test.fractions[3, :2] += (1e-4, -1e-4)
    try:
        write(tmp_path / "data", prepared, parts_of(0), CONFIG)
    finally:
        prepared.test.fractions[3, :2] -= (1e-4, -1e-4)
    with pytest.raises(Refused, match=r"props_test.npy: 1 samples have proportions that no 50 cells can have"):
        read(tmp_path / "data", parts_of(0), healthy())


def test_other_options_are_named(directory: Path) -> None:
    assert other_options(directory, CONFIG) == []
    assert other_options(directory, DataConfig(n_train=40, n_val=24, n_test=10, n_cells=70, redraws=2)) == [
        "--n-cells was 50, is 70"
    ]


def test_half_written_samples_are_not_vouched_for(directory: Path, prepared: Prepared) -> None:
    (directory / "bulk_val.npy").unlink()
    (directory / "bulk_val.npy").mkdir()  # no file can be written here
    with pytest.raises(IsADirectoryError):
        write(directory, prepared, parts_of(0), CONFIG)
    with pytest.raises(Refused, match=r"has no manifest.json"):
        read(directory, parts_of(0), healthy())
