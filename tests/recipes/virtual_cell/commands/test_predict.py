"""Predicted cells beside those of a file, in Python as on the command line, and what is told about effects."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch

from evenkeel_recipes.kit.refusal import DONE, REFUSED, Refused
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.generating.by_name import generate_expression, load


@pytest.fixture(scope="module")
def other(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cells, genes in another order, P1 and P2 under each other's name."""
    data = anndata.read_h5ad(file)[:, ::-1].copy()
    data.obs["perturbation"] = [
        str(name).translate(str.maketrans("12", "21")) if name in {"P1", "P2"} else name
        for name in data.obs.perturbation
    ]
    path = tmp_path_factory.mktemp("other") / "other.h5ad"
    data.write_h5ad(path)
    return path


def asked(ran: Path, out: Path, *options: str) -> list[str]:
    """A request for 30 cells."""
    return ["predict", "--model", str(ran), "--perturbation", "P1", "--n", "30", "--out", str(out), *options]


def test_cells_lie_beside_a_file_by_their_names(
    ran: Path, file: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In another order they are refused, with the first name that differs; with --remap they are the same cells."""
    assert commands.call(asked(ran, tmp_path / "a.h5ad", "--data", str(file))) == DONE
    assert commands.call(asked(ran, tmp_path / "b.h5ad", "--data", str(other))) == REFUSED
    assert "other genes (in another order): number 1 is G000 in the checkpoint and G039 here" in capsys.readouterr().err
    assert not (tmp_path / "b.h5ad").exists()
    assert commands.call(asked(ran, tmp_path / "b.h5ad", "--data", str(other), "--remap")) == DONE
    cells, turned = (anndata.read_h5ad(tmp_path / name) for name in ("a.h5ad", "b.h5ad"))
    assert list(turned.var_names) == list(anndata.read_h5ad(other).var_names)
    assert (turned[:, list(cells.var_names)].X != cells.X).nnz == 0
    assert np.array_equal(turned[:, list(cells.var_names)].layers["mean"], cells.layers["mean"])


def test_genes_that_the_model_does_not_know_are_refused(
    ran: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also by name: nothing can be said about them."""
    data = anndata.read_h5ad(file)
    data.var_names = ["NEW", *data.var_names[1:]]
    data.write_h5ad(tmp_path / "new.h5ad")
    assert commands.call(asked(ran, tmp_path / "x.h5ad", "--data", str(tmp_path / "new.h5ad"), "--remap")) == REFUSED
    assert "1 of 40 names for a gene are missing: NEW" in capsys.readouterr().err


def test_parameters_under_other_names_show_at_prediction(ran: Path, other: Path, tmp_path: Path) -> None:
    """With `permuted_vocab`, the names of the file are pasted on: genes have the counts of others."""
    assert commands.call(asked(ran, tmp_path / "right.h5ad", "--data", str(other), "--remap")) == DONE
    kept = json.loads((ran / "model.json").read_text())
    kept["facts"]["settings"]["faults"] = ["permuted_vocab"]
    (tmp_path / "faulty").mkdir()
    (tmp_path / "faulty" / "model.json").write_text(json.dumps(kept))
    (tmp_path / "faulty" / kept["tensors"]).write_bytes((ran / kept["tensors"]).read_bytes())
    assert commands.call(asked(tmp_path / "faulty", tmp_path / "wrong.h5ad", "--data", str(other))) == DONE
    right, wrong = (anndata.read_h5ad(tmp_path / name) for name in ("right.h5ad", "wrong.h5ad"))
    assert list(right.var_names) == list(wrong.var_names)
    assert not np.allclose(right.layers["mean"].mean(0), wrong.layers["mean"].mean(0), rtol=0.5)


def test_diagnose_matches_names_too(ran: Path, file: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same numbers by name as from the file itself."""
    ask = ["diagnose", "--model", str(ran), "--data"]
    assert commands.call([*ask, str(file)]) == DONE
    own = capsys.readouterr().out
    assert commands.call([*ask, str(other)]) == REFUSED
    assert "--remap" in capsys.readouterr().err
    assert commands.call([*ask, str(other), "--remap"]) == DONE
    assert numbers(capsys.readouterr().out) == pytest.approx(numbers(own), rel=1e-3)


def numbers(text: str) -> list[float]:
    """All that stand in a text."""
    return [float(found) for found in re.findall(r"-?\d[\d.]*(?:e[+-]?\d+)?", text.replace(",", ""))]


def test_expression_is_generated_from_python(ran: Path, tmp_path: Path) -> None:
    """The cells that the command writes; the control under its name; names that are none are refused."""
    assert commands.call(asked(ran, tmp_path / "a.h5ad", "--cell-type", "T2", "--batch", "B1")) == DONE
    written = anndata.read_h5ad(tmp_path / "a.h5ad")
    trained, how = load(ran)
    treated, untreated = (
        generate_expression(trained, name, "T2", 30, batch="B1", how=how) for name in ("P1", "control")
    )
    assert np.array_equal(treated.counts.numpy(), written.X.toarray())
    assert np.array_equal(untreated.mean.numpy(), written.layers["control_mean"])
    assert torch.equal(treated.start.z, untreated.start.z)
    for request in (("P9", "T2"), ("P1", "T9")):
        with pytest.raises(Refused):
            generate_expression(trained, *request)


def test_effects_are_told_with_their_errors(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mean, range, the largest, how exactly the flow was followed, and that 30 cells are few."""
    assert commands.call(asked(ran, tmp_path / "a.h5ad")) == DONE
    told = capsys.readouterr().out
    written = anndata.read_h5ad(tmp_path / "a.h5ad")
    logs = [np.log1p(x * (1e4 / x.sum(1, keepdims=True))) for x in (written.X.toarray(), dense(written))]
    change = logs[0] - logs[1]
    found = re.search(r"mean ([+-][\d.]+) ± ([\d.]+), from (-?[\d.]+) to ([\d.]+)", told)
    assert found is not None, told
    expected = [change.mean(), change.mean(1).std(ddof=1) / 30**0.5, change.mean(0).min(), change.mean(0).max()]
    assert [float(number) for number in found.groups()] == pytest.approx(expected, abs=6e-4)
    assert "from 30 cells only: for effects ask for 500 or more" in told
    assert re.search(r"error of the latents by midpoint, by halving its steps: \d", told)


def dense(written: anndata.AnnData) -> np.ndarray:
    """Counts of the untreated cells."""
    return written.layers["control_counts"].toarray()
