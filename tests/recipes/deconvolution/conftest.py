"""A small run that several files look at, and the means to change a copy of it."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from evenkeel_recipes.deconvolution.command import commands
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world

SMALL = (
    *("--n-train", "400", "--n-val", "48", "--n-test", "60", "--n-cells", "200", "--redraws", "2", "--n-genes", "200"),
    *("--max-epochs", "2", "--hidden-dim", "16", "--members", "1", "--batch-size", "64"),
)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small reference of 8 types and 6 donors."""
    cells = draw_cells(make_world(0, n_genes=300), 400, 0)
    obs = pd.DataFrame({"cell_type": np.array(cells.types)[cells.labels], "donor": cells.donors}, index=cells.cells)
    path = tmp_path_factory.mktemp("reference") / "adata_full.h5ad"
    anndata.AnnData(cells.counts, obs=obs, var=pd.DataFrame(index=list(cells.genes))).write_h5ad(path)
    return path


@pytest.fixture(scope="session")
def finished(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run, which nobody may change."""
    out = tmp_path_factory.mktemp("finished") / "deconvolution-run"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        assert commands.call(["run", "--cpu", *SMALL, "--reference", str(reference), "--out", str(out)]) == 0
    return out


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
