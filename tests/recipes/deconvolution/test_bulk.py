"""Bulk samples of users: what is read, and what is refused with which sentence."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from evenkeel_recipes.deconvolution.bulk import read_bulk, read_truth
from evenkeel_recipes.kit.refusal import Refused

GENES = tuple(f"g{place}" for place in range(10))
SAMPLES = ["a", "b", "c"]


def table(**changes: object) -> pd.DataFrame:
    values = np.random.default_rng(0).integers(1, 500, (3, 10)).astype(float)
    frame = pd.DataFrame(values, index=SAMPLES, columns=list(GENES))
    for place, value in changes.items():
        frame.loc["b", place] = value
    return frame


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("name", ["bulk.csv", "bulk.tsv"])
def test_text_is_read_whichever_way_it_lies(name: str, tmp_path: Path) -> None:
    for frame in (table(), table().T):
        bulk = read_bulk(written(frame, tmp_path / name), GENES, "linear")
        assert (bulk.counts == table().to_numpy()).all()
        assert list(bulk.samples) == SAMPLES


def test_anndata_is_read(tmp_path: Path) -> None:
    frame = table()
    anndata.AnnData(frame).write_h5ad(tmp_path / "bulk.h5ad")
    assert (read_bulk(tmp_path / "bulk.h5ad", GENES, "linear").counts == frame.to_numpy()).all()


def test_genes_are_matched_by_name(tmp_path: Path) -> None:
    frame = table()
    shuffled = frame[[*GENES[::-1]]].drop(columns=["g3", "g4"])
    bulk = read_bulk(written(shuffled, tmp_path / "bulk.csv"), GENES, "linear")
    assert list(bulk.genes) == [0, 1, 2, 5, 6, 7, 8, 9]
    assert (bulk.counts[:, 0] == frame["g0"]).all()


def test_duplicates_in_rows_are_summed(tmp_path: Path) -> None:
    frame = table().T
    bulk = read_bulk(written(pd.concat([frame, frame.loc[["g9"]]]), tmp_path / "bulk.csv"), GENES, "linear")
    assert bulk.summed == ("g9",)
    assert (bulk.counts[:, 9] == 2 * table()["g9"]).all()


def logs(base: float) -> pd.DataFrame:
    values = table().to_numpy()
    return pd.DataFrame(np.log1p(1e4 * values / values.sum(1, keepdims=True)) / np.log(base), SAMPLES, list(GENES))


@pytest.mark.parametrize(("assume", "base"), [("log1p", np.e), ("log2p1", 2.0)])
def test_logarithms_are_refused_or_undone(assume: str, base: float, tmp_path: Path) -> None:
    path = written(logs(base), tmp_path / "bulk.csv")
    with pytest.raises(Refused, match=f"--assume {assume}"):
        read_bulk(path, GENES, "linear")
    assert read_bulk(path, GENES, assume).counts.sum(1) == pytest.approx(1e4)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (table(g2=np.nan), "1 values are not finite, the first is nan in sample b, gene g2"),
        (table(g2=np.inf), "not finite, the first is inf in sample b, gene g2"),
        (table(g2=-1.0), "1 values are negative, the first is -1.0 in sample b, gene g2"),
        (table().rename(columns=lambda name: f"ENSG{name}"), "0 of the reference's 10 genes are there"),
        (table().iloc[:0], "no samples"),
        (
            table(**dict.fromkeys(GENES, 0.0)),
            "1 samples have no expression in the genes of the reference, the first is b",
        ),
        (table().astype(object).assign(g2="many"), "not all values are numbers"),
    ],
)
def test_what_is_no_bulk_is_refused(frame: pd.DataFrame, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=sentence):
        read_bulk(written(frame, tmp_path / "bulk.csv"), GENES, "linear")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no file"):
        read_bulk(tmp_path / "none.csv", GENES, "linear")
    (tmp_path / "bulk.h5ad").write_text("nonsense")
    with pytest.raises(Refused, match="is no AnnData file"):
        read_bulk(tmp_path / "bulk.h5ad", GENES, "linear")


def test_truth_is_matched_and_scaled(tmp_path: Path) -> None:
    frame = pd.DataFrame({"B": [1.0, 2, 3], "T": [1.0, 2, 1], "unknown": [2.0, 0, 4]}, index=["c", "b", "a"])
    truth = read_truth(written(frame, tmp_path / "truth.csv"), np.array(SAMPLES), ("T", "B", "NK"))
    assert truth.left_out == ("unknown",)
    assert truth.fractions == pytest.approx(np.array([[0.25, 0.75, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]]))
    with pytest.raises(Refused, match="1 samples are not there, the first is d"):
        read_truth(tmp_path / "truth.csv", np.array([*SAMPLES, "d"]), ("T", "B"))
    with pytest.raises(Refused, match="no column is a type of the reference"):
        read_truth(tmp_path / "truth.csv", np.array(SAMPLES), ("X", "Y"))
