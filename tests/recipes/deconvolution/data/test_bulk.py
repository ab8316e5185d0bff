"""Bulk samples of users: what is read, and what is refused with which sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from evenkeel_recipes.deconvolution.data.bulk import read_bulk, read_truth
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


def test_versions_of_identifiers_do_not_count(tmp_path: Path) -> None:
    genes = tuple(f"ENSG{place:011d}" for place in range(10))
    frame = table().set_axis([f"{gene}.{place}" for place, gene in enumerate(genes)], axis=1)
    for lying in (frame, frame.T):
        bulk = read_bulk(written(lying, tmp_path / "bulk.csv"), genes, "linear")
        assert (bulk.counts == frame.to_numpy()).all()


def test_duplicates_in_rows_are_summed(tmp_path: Path) -> None:
    frame = table().T
    bulk = read_bulk(written(pd.concat([frame, frame.loc[["g9"]]]), tmp_path / "bulk.csv"), GENES, "linear")
    assert bulk.summed == ("g9",)
    assert (bulk.counts[:, 9] == 2 * table()["g9"]).all()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("corner", ["", "gene"])
def test_duplicates_in_columns_are_summed(separator: str, corner: str, tmp_path: Path) -> None:
    frame = table()
    frame.index.name = corner or None
    twice = pd.concat([frame, frame[["g9", "g2"]]], axis=1)
    twice.to_csv(tmp_path / "bulk.csv", sep=separator)
    bulk = read_bulk(tmp_path / "bulk.csv", GENES, "linear")
    assert bulk.summed == ("g2", "g9")
    assert (bulk.counts[:, [2, 9]] == 2 * table()[["g2", "g9"]]).all(axis=None)


def test_a_header_without_a_name_for_the_first_column(tmp_path: Path) -> None:
    lines = table().to_csv().splitlines()
    (tmp_path / "bulk.csv").write_text("\n".join([lines[0].removeprefix(","), *lines[1:]]))
    bulk = read_bulk(tmp_path / "bulk.csv", GENES, "linear")
    assert (bulk.counts == table().to_numpy()).all()
    (tmp_path / "bulk.csv").write_text("\n".join([f"a,b,{lines[0]}", *lines[1:]]))
    with pytest.raises(Refused, match="the header has 13 names, the rows 10 values"):
        read_bulk(tmp_path / "bulk.csv", GENES, "linear")


def test_an_array_is_read_with_the_names_beside_it(tmp_path: Path) -> None:
    path, values = tmp_path / "bulk.npy", table().to_numpy()
    np.save(path, values)
    with pytest.raises(Refused, match=r"there is no .*genes.txt: it has to name the genes"):
        read_bulk(path, GENES, "linear")
    (tmp_path / "genes.txt").write_text("\n".join(GENES) + "\n")
    assert list(read_bulk(path, GENES, "linear").samples) == ["sample0", "sample1", "sample2"]
    (tmp_path / "samples.txt").write_text("a\nb\nc c\n")
    np.save(path, values.T)
    bulk = read_bulk(path, GENES, "linear")
    assert list(bulk.samples) == ["a", "b", "c c"]
    assert (bulk.counts == values).all()
    (tmp_path / "samples.txt").write_text("a\nb\n")
    with pytest.raises(Refused, match=r"samples.txt has 2 names, .* 3 samples"):
        read_bulk(path, GENES, "linear")
    np.save(path, values[:, :7])
    with pytest.raises(Refused, match=r"shape \(3, 7\), .* 10 names: one side has to be the genes"):
        read_bulk(path, GENES, "linear")
    np.save(path, np.array([["a"]], dtype=object), allow_pickle=True)
    with pytest.raises(Refused, match="is no array of numbers"):
        read_bulk(path, GENES, "linear")


def test_anndata_with_genes_as_rows_is_turned(tmp_path: Path) -> None:
    anndata.AnnData(table().T).write_h5ad(tmp_path / "bulk.h5ad")
    assert (read_bulk(tmp_path / "bulk.h5ad", GENES, "linear").counts == table().to_numpy()).all()


def test_fractions_of_counts_are_linear_and_counts_are_no_logarithms(tmp_path: Path) -> None:
    frame = table()
    shares = frame.div(frame.sum(axis=1), axis=0)
    assert read_bulk(written(shares, tmp_path / "bulk.csv"), GENES, "linear").counts.sum(1) == pytest.approx(1)
    with pytest.raises(Refused, match="is no logarithm of expression; leave out --assume log1p"):
        read_bulk(written(frame, tmp_path / "bulk.csv"), GENES, "log1p")


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


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "samples stand there more than once, such as a"),
        (lambda frame: pd.concat([frame, frame[["T"]]], axis=1), "types stand there more than once, such as T"),
        (lambda frame: frame.astype(object).replace(1.0, "much"), "not all values are numbers"),
        (
            lambda frame: frame.mul([1, np.nan, 1], axis=0),
            "2 values are not finite, the first is nan in sample b, type T",
        ),
        (lambda frame: frame.mul([1, 1, 0], axis=0), "all types of the reference are 0 in sample c"),
    ],
)
def test_what_is_no_truth_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], sentence: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"T": [0.25, 0.5, 1.0], "B": [0.75, 0.5, 1.0]}, index=SAMPLES)
    with pytest.raises(Refused, match=sentence):
        read_truth(written(change(frame), tmp_path / "truth.csv"), np.array(SAMPLES), ("T", "B"))
