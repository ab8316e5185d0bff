"""Small screens, as studies and as files, and a model on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from evenkeel_recipes.kit.refusal import DONE
from evenkeel_recipes.virtual_cell.cells.chosen import split_of
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.simulate import simulate
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.model.parts import Parts
from evenkeel_recipes.virtual_cell.training.course import model_of
from evenkeel_recipes.virtual_cell.training.material import Material


def as_anndata(study: Study) -> anndata.AnnData:
    """A study as a file holds it."""
    words = study.vocabulary
    obs = pd.DataFrame(
        {
            "perturbation": [words.name(study.treatments[row]) for row in study.treatment],
            "batch": [words.batches[row] for row in study.batch],
            "cell_type": [words.cell_types[row] for row in study.cell_type],
        },
        index=study.names,
    )
    return anndata.AnnData(
        X=study.counts, obs=obs, var=pd.DataFrame(index=list(words.genes)), layers={"counts": study.counts}
    )


@pytest.fixture(scope="session")
def study() -> Study:
    """576 cells of 40 genes."""
    return simulate(0, n_genes=40, cells_each=16)[0]


@pytest.fixture(scope="session")
def file(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as .h5ad."""
    path = tmp_path_factory.mktemp("cells") / "screen.h5ad"
    as_anndata(study).write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def ran(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that a run wrote."""
    out = tmp_path_factory.mktemp("run")
    options = ["--quick-test", "--hidden-dim", "32", "--eval-cells", "60", "--epochs-joint", "1"]
    assert commands.call(["run", "--data", str(file), "--out", str(out), "--holdout", "P1+P2,P3@T3", *options]) == DONE
    return out


@pytest.fixture(scope="session")
def material_of() -> Callable[..., Material]:
    """A study with a split, as a run would have it; given the study, a directory, and options."""
    return _material


def _material(study: Study, out: Path, **options: object) -> Material:
    settings = {"out": out, "epochs_vae": 2, "epochs_flow": 2, "epochs_joint": 1, "hidden_dim": 32, "eval_cells": 60}
    config = RunConfig(**{**settings, "holdout": ("P1+P2", "P3@T3"), **options})
    return Material(study, split_of(study, config), config)


@pytest.fixture
def material(study: Study, tmp_path: Path) -> Material:
    """The screen without P1+P2, and without P3 in T3."""
    return _material(study, tmp_path)


@pytest.fixture(scope="session")
def model_for() -> Callable[..., VirtualCell]:
    """Drawn weights, for a material and, if need be, other parts than the healthy ones."""
    return _model


def _model(material: Material, parts: Parts = HEALTHY) -> VirtualCell:
    return model_of(material, parts)


@pytest.fixture
def model(material: Material) -> VirtualCell:
    """Drawn weights."""
    return _model(material)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Tests draw the same numbers each time."""
    torch.manual_seed(0)
