"""`validate`: each corruption is named with its file, row and gene, and nothing that is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from evenkeel_recipes.deconvolution.command import commands

GENES = [f"g{place}" for place in range(6)]


def sound() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(6), 5)
    return np.log1p(1e4 * shares).astype(np.float32), rng.dirichlet(np.ones(3), 5)


def checked(folder: Path, view: np.ndarray, props: np.ndarray) -> int:
    np.save(folder / "bulk.npy", view)
    np.save(folder / "props.npy", props)
    return commands.call(["validate", "--file", str(folder / "bulk.npy"), "--props", str(folder / "props.npy")])


def test_sound_samples_pass_the_four_lines_of_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path, *sound()) == 0
    lines = capsys.readouterr().out.splitlines()
    for line in ("Bulk NaN", "Props NaN", "Bulk Inf", "Props sum ~ 1.0", "Props Inf", "rows agree"):
        assert f"pass  {line}" in lines
    assert all(line.startswith("pass") for line in lines)


def at(row: int, column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[row, column] = value
        return values

    return change


def same(values: np.ndarray) -> np.ndarray:
    return values


@pytest.mark.parametrize(
    ("bulk", "props", "line"),
    [
        (at(3, 2, np.nan), same, "FAIL  Bulk NaN: {}bulk.npy: 1 values are NaN; the first in row 3, gene in column 2"),
        (at(1, 5, np.inf), same, "FAIL  Bulk Inf: {}bulk.npy: 1 values are infinite; the first in row 1, gene in"),
        (
            at(1, 5, -1),
            same,
            "FAIL  Bulk sign: {}bulk.npy: 1 values are negative; the first in row 1, gene in column 5",
        ),
        (at(4, 0, 120450), same, "FAIL  Bulk range: {}bulk.npy: 1 values are above 9.2105"),
        (
            lambda view: view * (np.arange(5) != 2)[:, None],
            same,
            "FAIL  Bulk rows: {}bulk.npy: 1 samples have no count",
        ),
        (
            lambda view: view * (np.arange(6) != 4),
            same,
            "note  genes without counts: {}bulk.npy: 1 genes are 0 in every",
        ),
        (
            lambda view: np.where(np.arange(6) == 4, np.float32(2), view),
            same,
            "note  constant genes: {}bulk.npy: 1 genes",
        ),
        (
            lambda view: view[[0, 1, 2, 3, 1]],
            same,
            "note  duplicate rows: {}bulk.npy: 1 rows repeat an earlier one, the ",
        ),
        (
            same,
            at(2, 1, np.nan),
            "FAIL  Props NaN: {}props.npy: 1 samples have proportions that are NaN, the first is row 2",
        ),
        (
            same,
            at(2, 1, np.inf),
            "FAIL  Props Inf: {}props.npy: 1 samples have proportions that are infinite, the first",
        ),
        (
            same,
            at(2, 1, -0.5),
            "FAIL  Props sign: {}props.npy: 1 samples have proportions that are negative, the first",
        ),
        (
            same,
            lambda props: props * 1.001,
            "FAIL  Props sum ~ 1.0: {}props.npy: 5 samples have proportions that do not",
        ),
        (same, lambda props: props[:4], "FAIL  rows agree: {}bulk.npy has 5 rows, {}props.npy 4"),
    ],
)
def test_each_corruption_is_named(
    bulk: Callable[[np.ndarray], np.ndarray],
    props: Callable[[np.ndarray], np.ndarray],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    view, fractions = sound()
    status = checked(tmp_path, bulk(view), props(fractions))
    assert line.replace("{}", f"{tmp_path}/") in capsys.readouterr().out
    assert status == (4 if line.startswith("FAIL") else 0)


@pytest.mark.parametrize("data", [b"nonsense", b"", np.array([object()], dtype=object).dumps()])
def test_what_is_no_array_is_refused(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bulk.npy").write_bytes(data)
    assert commands.call(["validate", "--file", str(tmp_path / "bulk.npy")]) == 4
    assert "bulk.npy is no array of numbers or names" in capsys.readouterr().out


def test_the_samples_of_a_run_pass_and_a_changed_one_does_not(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = copied / "data"
    assert commands.call(["validate", "--data-dir", str(data)]) == 0
    assert "FAIL" not in capsys.readouterr().out
    view = np.load(data / "bulk_val.npy")
    view[7, 3] = np.nan
    np.save(data / "bulk_val.npy", view)
    assert commands.call(["validate", "--data-dir", str(data)]) == 4
    told = capsys.readouterr().out
    assert "FAIL  files as written" in told
    assert "FAIL  val: Bulk NaN" in told
    assert "row 7, gene gene" in told
    assert commands.call(["validate", "--data-dir", str(copied)]) == 4


def test_a_reference_is_looked_at(tmp_path: Path, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = np.random.default_rng(0).poisson(3.0, (40, 6))
    counts[:, 2] = 0
    labels = ["rare"] * 4 + ["T"] * 18 + ["B"] * 18
    data = anndata.AnnData(
        sparse.csr_matrix(counts.astype(float)),
        obs=pd.DataFrame({"cell_type": labels}, index=[f"c{row}" for row in range(40)]),
        var=pd.DataFrame(index=GENES),
    )
    data.write_h5ad(tmp_path / "reference.h5ad")
    arguments = ["validate", "--data-dir", str(copied / "data"), "--reference", str(tmp_path / "reference.h5ad")]
    assert commands.call(arguments) == 0
    told = capsys.readouterr().out
    assert "note  10 cells of each type: fewer of rare (4)" in told
    assert "note  counts of each gene: 1 have none, such as g2" in told
    assert commands.call([*arguments, "--cell-type-key", "label"]) == 4
    assert "FAIL  reference: " in (told := capsys.readouterr().out)
    assert "no column 'label'; it has cell_type" in told
