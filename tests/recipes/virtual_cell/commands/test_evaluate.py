"""A trained model judged again: the scores of its run, other cells and splits, names, and velocities gone bad."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import torch

from evenkeel_recipes.kit.refusal import DONE, REFUSED, STOPPED
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.generating.generate import Trained
from evenkeel_recipes.virtual_cell.generating.store import read_trained
from evenkeel_recipes.virtual_cell.model.parts import Parts

SCORES = ("headline", "model", "baselines", "ceiling", "coverage", "higher_is_better", "seed")
COUNTED = ("conditions", "cells", "kinds", "flow_alone", "split_halves", "solver_error_rms", "means_rest_on")


def told(out: Path) -> dict[str, Any]:
    """What metrics.json says."""
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """All scores, to the bit, and what they were counted over."""
    assert expected["model"]["rmse"] > 0
    for name in SCORES:
        assert found[name] == expected[name], name
    for name in COUNTED:
        assert found["population"][name] == expected["population"][name], name


def test_the_scores_are_those_of_the_run(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing but the model given: the same numbers, the same lines, a page; and nothing to be careful about."""
    assert commands.call(["evaluate", "--model", str(ran), "--out", str(tmp_path / "again")]) == DONE
    shown = capsys.readouterr().out
    same(told(tmp_path / "again"), told(ran))
    assert "rmse@leave_context=" in shown
    assert "means of combo_seen2 rest on" in shown
    assert "verdict: " in shown
    assert "not the run's own" not in shown
    assert "P1+P2@T1" in (tmp_path / "again" / "report.html").read_text()


def test_without_a_directory_nothing_is_written_and_the_runs_own_is_left(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its metrics.json tells of training too."""
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in ran.iterdir() if path.is_file()}
    assert commands.call(["evaluate", "--model", str(ran), "--out", str(ran)]) == REFUSED
    assert "is the directory of the run" in capsys.readouterr().err
    ask = ["evaluate", "--model", str(ran), "--holdout", "P1+P2@T2", "--eval-cells", "20"]
    assert commands.call(ask) == DONE
    assert {path: path.read_bytes() for path in ran.iterdir() if path.is_file()} == before
    assert not list(tmp_path.iterdir())


def test_cells_under_names_in_another_order(
    ran: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused; by their names the scores are the same to the bit."""
    anndata.read_h5ad(file)[:, ::-1].copy().write_h5ad(tmp_path / "turned.h5ad")
    ask = ["evaluate", "--model", str(ran), "--data", str(tmp_path / "turned.h5ad"), "--out", str(tmp_path / "out")]
    assert commands.call(ask) == REFUSED
    assert "other genes (in another order): number 1 is G000 in the checkpoint and G039 here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert commands.call([*ask, "--remap"]) == DONE
    same(told(tmp_path / "out"), told(ran))
    assert "not the run's own" not in capsys.readouterr().out


def test_conditions_that_were_trained_on_are_named(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By another split of the same cells, on the screen, in metrics.json and on the page."""
    ask = ["evaluate", "--model", str(ran), "--holdout", "P1+P2@T1,P4@T2", "--eval-cells", "20"]
    assert commands.call([*ask, "--out", str(tmp_path / "out")]) == DONE
    shown = capsys.readouterr().out
    assert "not the run's own cells and split" in shown
    assert "1 of 2 conditions were trained on, so their scores are no prediction of something new: P4@T2" in shown
    assert "other controls" not in shown
    assert told(tmp_path / "out")["population"]["kinds"] == {"combo_seen2": 1, "trained_on": 1}
    assert "1 of 2 conditions were trained on" in (tmp_path / "out" / "report.html").read_text()


def test_other_cells_under_other_columns(
    ran: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a batch that the model does not know; every perturbed cell is judged, as nothing is trained."""
    data = anndata.read_h5ad(file)
    data = data[np.isin(data.obs.perturbation, ["control", "P1+P2", "P3"])]
    data = data[(data.obs.perturbation != "P1+P2") | (data.obs.cell_type == "T1")].copy()
    data.obs["given"], data.obs["batch"] = data.obs.pop("perturbation"), "new"
    data.write_h5ad(tmp_path / "other.h5ad")
    ask = ["evaluate", "--model", str(ran), "--data", str(tmp_path / "other.h5ad"), "--holdout", "P1+P2@T1,P3"]
    assert commands.call([*ask, "--remap"]) == REFUSED
    assert "obs has no column 'perturbation'" in capsys.readouterr().err
    ask += ["--perturbation-key", "given"]
    assert commands.call(ask) == REFUSED
    assert "other perturbations (3 here, 6 there)" in capsys.readouterr().err
    assert commands.call([*ask, "--remap"]) == DONE
    shown = capsys.readouterr().out
    assert "means of combo_seen2 rest on" in shown  # these cells alone would call it combo_seen0
    assert (
        "2 of 4 conditions were trained on, so their scores are no prediction of something new: P3@T1, P3@T2" in shown
    )
    assert "other controls" not in shown


def test_a_bad_velocity_names_its_condition_and_cells(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3; no score is written."""
    read = read_trained

    def poisoned(out: Path, parts: Parts) -> tuple[Trained, Any]:
        trained, settings = read(out, parts)
        trained.bank.latents.mean[(trained.bank.cell_type == 2).nonzero()[1]] = torch.nan
        return trained, settings

    monkeypatch.setattr("evenkeel_recipes.virtual_cell.generating.by_name.read_trained", poisoned)
    assert commands.call(["evaluate", "--model", str(ran), "--out", str(tmp_path / "out")]) == STOPPED
    said = capsys.readouterr().err
    assert "sampling stopped: control@T3: the velocity held" in said
    bad = re.search(r"(\d+) of (\d+) cells generated together never arrive: number 1, (\d+), \d+, \d+, \d+, …", said)
    assert bad is not None, said
    n_bad, n, second = map(int, bad.groups())
    assert n_bad == -(-(n - 1) // (second - 1))  # each control cell begins as many generated ones
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_say_what_it_learnt_from_is_refused(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing could be said about what its scores mean."""
    kept = json.loads((ran / "model.json").read_text())
    del kept["facts"]["settings"]["learnt"]
    (tmp_path / "model.json").write_text(json.dumps(kept))
    (tmp_path / kept["tensors"]).write_bytes((ran / kept["tensors"]).read_bytes())
    assert commands.call(["evaluate", "--model", str(tmp_path)]) == REFUSED
    assert "does not say what it was trained on" in capsys.readouterr().err
