"""What files may hold, and the sentences about those that cannot be trained on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import write_elem
from scipy import sparse

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.reading import read_study, vocabulary_in
from evenkeel_recipes.virtual_cell.config import DataConfig


@pytest.fixture
def changed(file: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write the screen with something done to it."""

    def write(change: Callable[[anndata.AnnData], None]) -> Path:
        data = anndata.read_h5ad(file)
        change(data)
        data.write_h5ad(tmp_path / "changed.h5ad")
        return tmp_path / "changed.h5ad"

    return write


def test_cells_come_back_as_they_were_written(file: Path, study: Study) -> None:
    """Counts to the bit, names in their order, codes of the same treatments."""
    read = read_study(DataConfig(), file)
    assert (read.counts != study.counts).nnz == 0
    assert read.vocabulary == study.vocabulary
    assert np.array_equal(read.codes[read.treatment], study.codes[study.treatment])
    assert read.notices == ()


def _dense(data: anndata.AnnData) -> None:
    data.layers["counts"] = data.layers["counts"].toarray()


def _csc(data: anndata.AnnData) -> None:
    data.layers["counts"] = sparse.csc_matrix(data.layers["counts"])


@pytest.mark.parametrize("form", [_dense, _csc])
def test_any_form_of_matrix_will_do(
    form: Callable[[anndata.AnnData], None], changed: Callable[..., Path], study: Study
) -> None:
    """Dense on disk is read in pieces."""
    assert (read_study(DataConfig(), changed(form)).counts != study.counts).nnz == 0


def test_counts_are_recovered_from_logarithms(changed: Callable[..., Path], study: Study) -> None:
    """Where the layer is missing and X holds log1p of scaled counts, exactly; and it is said."""

    def take_logs(data: anndata.AnnData) -> None:
        del data.layers["counts"]
        data._inplace_subset_obs(np.array([row.data.min() == 1 for row in study.counts]))  # noqa: SLF001  # a test writes a file
        scaled = data.X.multiply(1e4 / data.X.sum(1)).tocsr()
        scaled.data = np.log1p(scaled.data)
        data.X = scaled

    read = read_study(DataConfig(), changed(take_logs))
    has_one = np.array([row.data.min() == 1 for row in study.counts])
    assert has_one.sum() > 50
    assert (read.counts != study.counts[has_one]).nnz == 0
    assert any("recovered" in notice for notice in read.notices)


def _negative(data: anndata.AnnData) -> None:
    data.layers["counts"].data[3] = -1


def _halves(data: anndata.AnnData) -> None:
    data.layers["counts"].data[3] = 1.5


def _nan(data: anndata.AnnData) -> None:
    data.layers["counts"].data[3] = np.nan


def _empty_cell(data: anndata.AnnData) -> None:
    counts = data.layers["counts"].tolil()
    counts[5] = 0
    data.layers["counts"] = sparse.csr_matrix(counts)


def _twice(data: anndata.AnnData) -> None:
    data.var_names = ["G000", *data.var_names[:-1]]


def _all_control(data: anndata.AnnData) -> None:
    data.obs["perturbation"] = "control"


def _far_away(data: anndata.AnnData) -> None:
    data.obsm["spatial"] = np.where(np.arange(len(data))[:, None] == 7, np.inf, np.ones((1, 2)))


def _words_for_places(data: anndata.AnnData) -> None:
    data.obsm["spatial"] = pd.DataFrame({"x": ["left"] * len(data), "y": ["up"] * len(data)}, index=data.obs_names)


@pytest.mark.parametrize(
    ("change", "config", "says"),
    [
        (_negative, DataConfig(), r"1 values are negative \(least -1\), the first in cell cell0"),
        (_halves, DataConfig(), "values are neither counts .whole numbers. nor their logarithms"),
        (_nan, DataConfig(), "1 values are not finite, the first in cell cell0"),
        (_empty_cell, DataConfig(), "1 cells have no count at all, the first is cell5"),
        pytest.param(
            _twice,
            DataConfig(),
            "genes have their name more than once",
            marks=pytest.mark.filterwarnings("ignore:Variable names"),
        ),
        (_all_control, DataConfig(), "no perturbation to learn"),
        (
            lambda _: None,
            DataConfig(counts_layer="raw"),
            r"no layer 'raw'; it has counts\. Name one with --counts-layer",
        ),
        (
            lambda _: None,
            DataConfig(perturbation_key="drug"),
            r"no column 'drug' \(--perturbation-key\); it has .*perturbation",
        ),
        (lambda _: None, DataConfig(batch_key="lane"), r"no column 'lane' \(--batch-key\)"),
        (lambda _: None, DataConfig(control="DMSO"), r"no cell is 'DMSO'.*'P1' \(48\).*--control"),
        (lambda _: None, DataConfig(spatial_key="spatial"), "obsm has no 'spatial'; it has none"),
        (
            _far_away,
            DataConfig(spatial_key="spatial"),
            r"shape \(576, 2\) and 2 values that are not finite; 2 or 3 finite",
        ),
        (_words_for_places, DataConfig(spatial_key="spatial"), r"obsm\['spatial'\] holds no numbers, but DataFrame"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    change: Callable[[anndata.AnnData], None], config: DataConfig, says: str, changed: Callable[..., Path]
) -> None:
    """In one sentence, with what was found and what to do."""
    with pytest.raises(Refused, match=says):
        read_study(config, changed(change))


def test_missing_columns_that_can_be_done_without_are_named(changed: Callable[..., Path]) -> None:
    """Without batch and type there is one of each, and it is said."""

    def drop(data: anndata.AnnData) -> None:
        data.obs = data.obs[["perturbation"]]

    read = read_study(DataConfig(), changed(drop))
    assert (read.vocabulary.batches, read.vocabulary.cell_types) == (("all",), ("all",))
    assert [notice.partition(":")[0] for notice in read.notices] == [
        "obs has no column 'batch'",
        "obs has no column 'cell_type'",
    ]


def test_few_cells_and_missing_controls_are_named(changed: Callable[..., Path]) -> None:
    """One cell of a condition is legal to train on, and told."""

    def thin(data: anndata.AnnData) -> None:
        keep = np.ones(len(data), dtype=bool)
        keep[np.flatnonzero(data.obs.perturbation == "P6")[1:]] = False
        keep[np.flatnonzero((data.obs.perturbation == "control") & (data.obs.cell_type == "T2"))] = False
        data._inplace_subset_obs(keep)  # noqa: SLF001  # a test writes a file

    notices = read_study(DataConfig(), changed(thin)).notices
    assert any("fewer than 20 cells: P6 (1)" in notice for notice in notices)
    assert any("have no control cell: B1 / T2, B2 / T2" in notice for notice in notices)


def test_a_file_beyond_memory_is_refused_before_it_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it needs, what there is, and how to take less."""
    real = os.sysconf
    monkeypatch.setattr(os, "sysconf", lambda name: 20 if name == "SC_AVPHYS_PAGES" else real(name))
    with pytest.raises(Refused, match=r"reading 576 cells needs about .* GB, .*--cells-per-condition"):
        read_study(DataConfig(), file)
    assert len(read_study(DataConfig(cells_per_condition=1), file)) == 36


def test_cells_can_be_taken_from_each_condition(file: Path) -> None:
    """The same ones for the same seed."""
    config = DataConfig(cells_per_condition=5)
    first = read_study(config, file)
    assert set(np.bincount(first.treatment * 3 + first.cell_type)) == {5}
    assert np.array_equal(first.names, read_study(config, file).names)
    assert not np.array_equal(first.names, read_study(replace(config, seed=1), file).names)


def test_doses_and_positions(changed: Callable[..., Path]) -> None:
    """A dose multiplies the code; positions are standardised, and belong to their cells."""

    def add(data: anndata.AnnData) -> None:
        data.obs["dose"] = np.where(np.arange(len(data)) % 2, 0.5, 1.0)
        data.obsm["spatial"] = np.stack([np.arange(len(data)), np.ones(len(data))], 1)

    path = changed(add)
    read = read_study(DataConfig(dose_key="dose", spatial_key="spatial", cells_per_condition=8), path)
    assert set(np.unique(read.codes)) == {0.0, 0.5, 1.0}
    number = np.array([int(name.removeprefix("cell")) for name in read.names])
    assert np.corrcoef(number, read.spatial[:, 0])[0, 1] == pytest.approx(1)
    assert not read.spatial[:, 1].any()


def test_features_of_perturbations(file: Path, tmp_path: Path) -> None:
    """Those of the study are needed; more can be asked for later; numbers have to be finite."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(7, 3)), index=[f"P{i}" for i in range(1, 8)])
    table.to_csv(tmp_path / "f.csv")
    read = read_study(DataConfig(perturbation_features=tmp_path / "f.csv"), file)
    assert read.vocabulary.perturbations[-1] == "P7"
    assert read.features.shape == (7, 3)
    table.drop("P3").to_csv(tmp_path / "f.csv")
    with pytest.raises(Refused, match="missing P3"):
        read_study(DataConfig(perturbation_features=tmp_path / "f.csv"), file)
    table.replace(table.iloc[0, 0], np.inf).to_csv(tmp_path / "f.csv")
    with pytest.raises(Refused, match="1 features are not finite"):
        read_study(DataConfig(perturbation_features=tmp_path / "f.csv"), file)
    table.astype(str).replace(str(table.iloc[1, 1]), "many").to_csv(tmp_path / "f.csv")
    with pytest.raises(Refused, match=r"features have to be numbers: .*'many'"):
        read_study(DataConfig(perturbation_features=tmp_path / "f.csv"), file)


def test_names_are_read_without_counts(file: Path, study: Study, tmp_path: Path) -> None:
    """The same as with them; features of perturbations bring theirs."""
    assert vocabulary_in(DataConfig(), file) == study.vocabulary
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(7, 3)), index=[f"P{i}" for i in range(1, 8)])
    table.to_csv(tmp_path / "f.csv")
    config = DataConfig(perturbation_features=tmp_path / "f.csv", batch_key="cell_type")
    assert vocabulary_in(config, file) == read_study(config, file).vocabulary


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """A million cells of 20,000 genes, dense on disk; most of it was never written, and reads as zeros."""
    n_cells, rng = 1_000_000, np.random.default_rng(0)
    head = anndata.AnnData(
        X=np.zeros((2, 20_000), dtype=np.float32),
        obs=pd.DataFrame({"perturbation": ["control", "A"]}, index=["0", "1"]),
        var=pd.DataFrame(index=[f"G{gene}" for gene in range(20_000)]),
    )
    path = tmp_path / "huge.h5ad"
    head.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file["X"], file["obs"]
        counts = file.create_dataset("X", (n_cells, 20_000), dtype="f4", chunks=(64, 20_000))
        counts.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        counts[:640] = rng.poisson(0.5, (640, 20_000))
        kinds = np.full(n_cells, "unread")
        kinds[:640] = np.where(np.arange(640) % 2, "A", "control")
        obs = pd.DataFrame({"perturbation": pd.Categorical(kinds)}, index=np.arange(n_cells).astype(str))
        write_elem(file, "obs", obs)
    return path


@pytest.mark.long
def test_a_million_dense_cells_on_disk(huge: Path) -> None:
    """Refused in a sentence when all of them are asked for; no matrix is read for that."""
    with pytest.raises(Refused, match=r"reading 1,000,000 cells needs about \d+\.\d GB, .*--cells-per-condition"):
        read_study(DataConfig(), huge)
