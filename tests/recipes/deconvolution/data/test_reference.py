"""A reference: what is read, what is refused, and that no cell is on both sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from evenkeel_recipes.deconvolution.data.reference import (
    Parts,
    Reference,
    counted_in,
    divide,
    few_cells,
    read_reference,
    three_parts,
    variable_genes,
)
from evenkeel_recipes.deconvolution.data.simulator import CONTENT, draw_cells, make_world
from evenkeel_recipes.kit.refusal import Refused


def saved(path: Path, **changes: object) -> Path:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (60, 12)).astype(float) + np.eye(60, 12)
    data = anndata.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame({"cell_type": ["T", "B", "NK"] * 20}, index=[f"c{row}" for row in range(60)]),
        var=pd.DataFrame(index=[f"g{column}" for column in range(12)]),
    )
    for name, value in changes.items():
        setattr(data, name, value(data))
    data.write_h5ad(path)
    return path


def read(path: Path, layer: str = "counts", key: str = "cell_type", most: int = 1000) -> Reference:
    return read_reference(path, key, layer, None, most, 0)


def test_counts_come_from_the_layer_or_from_x(tmp_path: Path) -> None:
    reference = read(saved(tmp_path / "a.h5ad"))
    assert reference.types == ("B", "NK", "T")
    assert np.bincount(reference.labels).tolist() == [20, 20, 20]
    assert read(tmp_path / "a.h5ad", most=4).counts.shape == (12, 12)


def test_counts_are_recovered_from_logarithms(tmp_path: Path) -> None:
    def logs(data: anndata.AnnData) -> sparse.csr_matrix:
        dense = data.X.toarray()
        return sparse.csr_matrix(np.log1p(1e4 * dense / dense.sum(1, keepdims=True)))

    def with_stored_zeros(data: anndata.AnnData) -> sparse.csr_matrix:
        dense = logs(data).toarray()
        rows, columns = (place.ravel() for place in np.indices(dense.shape))
        return sparse.csr_matrix((dense.ravel(), (rows, columns)), dense.shape)

    plain = read(saved(tmp_path / "a.h5ad"))
    for change in (logs, with_stored_zeros):
        recovered = read(saved(tmp_path / "b.h5ad", X=change))
        assert (plain.counts != recovered.counts).nnz == 0


def bad(value: float) -> object:
    def change(data: anndata.AnnData) -> sparse.csr_matrix:
        matrix = data.X.copy()
        matrix[3, 4] = value
        return matrix

    return change


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"X": bad(np.nan)}, "1 values are not finite, the first in cell c3"),
        ({"X": bad(-2.0)}, "1 values are negative .*cell c3"),
        ({"X": bad(2.5)}, r"either in 60 of 60 cells \(c0, c1, c2, c3, c4, …\);"),
        ({"X": lambda data: sparse.csr_matrix(data.X.shape)}, "all counts are 0"),
        ({"X": lambda data: data.X.multiply((np.arange(60) != 5)[:, None]).tocsr()}, "1 cells have no count.*is c5"),
        ({"var_names": lambda data: ["g0", "g0", *data.var_names[2:]]}, "1 genes have their name more than once"),
        ({"obs": lambda data: data.obs.rename(columns={"cell_type": "label"})}, "no column 'cell_type'; it has label"),
        ({"obs": lambda data: data.obs.assign(cell_type="T")}, "only one cell type"),
        ({"obs": lambda data: data.obs.assign(cell_type=["rare", *["T", "B"] * 29, "T"])}, "rare .1."),
        ({"obs": lambda data: data.obs.assign(cell_type=[None, *["T", "B"] * 29, "T"])}, "1 of 60 cells have no value"),
    ],
)
@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_what_is_no_reference_is_refused(changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=sentence):
        read(saved(tmp_path / "a.h5ad", **changes))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=2, max_size=5), st.integers(0, 10**6))
def test_parts_are_disjoint_and_none_is_blind_to_a_type(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    reference = Reference(
        sparse.csr_matrix(np.ones((len(labels), 2), np.float32)),
        labels,
        tuple(map(str, range(len(sizes)))),
        ("a", "b"),
        None,
        np.arange(len(labels)).astype(str),
    )
    parts = divide(reference, (0.7, 0.15, 0.15), seed)
    for kind, size in enumerate(sizes):
        cells = [set(part.cells[part.labels == kind]) for part in parts]
        assert all(cells)
        if size >= 3:
            assert sum(map(len, cells)) == len(set().union(*cells)) == size


def test_donors_are_kept_apart() -> None:
    reference = draw_cells(make_world(0, n_genes=300), 600, 0)
    parts = three_parts(reference, 0)
    donors = [set(part.donors) for part in (parts.train, parts.validation, parts.test) if part.donors is not None]
    assert sum(map(len, donors)) == len(set().union(*donors)) == 6


def test_a_split_says_what_it_keeps_apart() -> None:
    reference = draw_cells(make_world(0, n_genes=300), 600, 0)
    parts = three_parts(reference, 0)
    assert parts.unit == "donor"
    assert Parts(parts.train, parts.validation, parts.train).unit == "cell"
    unknown = replace(reference, donors=None)
    assert three_parts(unknown, 0).unit == "cell"
    each_a_type = replace(reference, labels=np.unique(reference.donors, return_inverse=True)[1].astype(np.int64))
    assert three_parts(replace(each_a_type, types=tuple("abcdef")), 0).unit == "cell"


def test_types_of_few_cells_are_told() -> None:
    reference = draw_cells(make_world(0, n_genes=300), 76, 0)
    assert few_cells(reference) == [f"type{kind} (9)" for kind in range(4, 8)]


def without_counts(reference: Reference, *cells: int) -> Reference:
    counts = reference.counts.tolil()
    counts[list(cells), :100] = 0
    return replace(reference, counts=counts.tocsr())


def test_cells_without_counts_in_the_kept_genes_are_left_out_or_refused() -> None:
    reference, genes = draw_cells(make_world(0, n_genes=300), 400, 0), np.arange(100)
    assert counted_in(reference, genes).counts.shape == (400, 100)
    kept = counted_in(without_counts(reference, 7, 9), genes)
    assert set(reference.cells) - set(kept.cells) == {"cell7", "cell9"}
    assert kept.counts.shape == (398, 100)
    assert len(kept.labels) == len(kept.donors) == 398
    with pytest.raises(
        Refused, match="5 of 400 cells have no count in the 100 genes that are kept, the first is cell1"
    ):
        counted_in(without_counts(reference, 1, 2, 3, 4, 5), genes)
    rare = replace(reference, labels=np.where(np.arange(400) < 3, 0, 1).astype(np.int64), types=("rare", "common"))
    with pytest.raises(Refused, match="1 of 400 cells have no count"):
        counted_in(without_counts(rare, 2), genes)


def test_genes_are_named_by_the_index_or_by_a_column(tmp_path: Path) -> None:
    symbols = [f"s{column // 2}" for column in range(12)]
    path = saved(tmp_path / "a.h5ad", var=lambda data: data.var.assign(symbol=symbols))
    by_index = read(path)
    by_column = read_reference(path, "cell_type", "counts", None, 1000, 0, "symbol")
    assert by_column.genes == ("s0", "s1", "s2", "s3", "s4", "s5")
    assert (by_column.counts.toarray() == by_index.counts.toarray().reshape(60, 6, 2).sum(2)).all()
    with pytest.raises(Refused, match="var has no column 'symbols'; it has symbol"):
        read_reference(path, "cell_type", "counts", None, 1000, 0, "symbols")


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_of_one_name_are_told_apart(tmp_path: Path) -> None:
    twice = saved(tmp_path / "a.h5ad", obs_names=lambda data: ["c0", "c0", *data.obs_names[2:]])
    cells = read(twice).cells.tolist()
    assert cells[:3] == ["c0 #0", "c0 #1", "c2"]
    assert len(set(cells)) == 60


def test_genes_that_tell_types_apart_are_chosen() -> None:
    world = make_world(0, n_genes=400)
    reference = draw_cells(world, 3000, 0)
    fold = np.log(world.composition / world.composition.mean(0)).std(0)
    chosen = variable_genes(reference, 100)
    assert len(chosen) == 100
    assert fold[chosen].mean() > 1.5 * np.delete(fold, chosen).mean()
    assert len(variable_genes(reference, 1000)) == 400


def test_the_world_has_the_content_it_was_given() -> None:
    world = make_world(1)
    reference = draw_cells(world, 2000, 1)
    means = np.array([reference.counts[reference.labels == kind].sum(1).mean() for kind in range(8)])
    assert means == pytest.approx(world.content, rel=0.1)
    assert world.content.max() / world.content.min() == pytest.approx(CONTENT[1] / CONTENT[0])
