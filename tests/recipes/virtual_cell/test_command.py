"""The recipe as people meet it: run, predict, validate, diagnose; what lies in the directory afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import torch
from scipy import sparse

from evenkeel_recipes.kit.refusal import DONE, NO_SKILL, REFUSED, STOPPED, USAGE
from evenkeel_recipes.virtual_cell.command import commands
from evenkeel_recipes.virtual_cell.generating.generate import Trained
from evenkeel_recipes.virtual_cell.generating.store import read_trained
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.model.parts import Parts

SMALL = ("--quick-test", "--hidden-dim", "32", "--eval-cells", "60", "--epochs-joint", "1")


def test_metrics_stand_beside_baselines_and_ceiling(ran: Path) -> None:
    """For every metric, over all conditions and for each kind; with what was counted."""
    told = json.loads((ran / "metrics.json").read_text())
    assert told["headline"] in {"pearson_delta", "rmse"}
    assert set(told["baselines"]) == {
        "no_change",
        "mean_of_others",
        "additive",
        "mean_shift",
        "linear",
        "additive_or_mean_shift",
    }
    assert told["population"]["kinds"] == {"combo_seen2": 3, "leave_context": 1}
    assert {"rmse", "rmse@combo_seen2", "rmse@leave_context", "energy_distance", "mmd", "de_overlap"} <= set(
        told["model"]
    )
    assert set(told["model"]) == set(told["higher_is_better"])
    assert told["baselines"]["additive"]["rmse@leave_context"] is None
    assert told["baselines"]["mean_shift"]["rmse@leave_context"] > 0
    assert told["seconds"] > 0
    assert told["peak_memory_bytes"] > 1e8


def test_the_directory_holds_what_a_run_leaves(ran: Path) -> None:
    """Checkpoints of every stage, the history, one page; no pickle."""
    names = {path.name for path in ran.iterdir()}
    assert {
        "vae.json",
        "flow.json",
        "joint.json",
        "model.json",
        "metrics.json",
        "history.jsonl",
        "report.html",
    } <= names
    assert {path.suffix for path in ran.iterdir() if path.is_file()} == {".json", ".jsonl", ".html", ".safetensors"}
    assert "P1+P2@T1" in (ran / "report.html").read_text()


def test_predicted_cells(ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, means, and each cell untreated; the same for the same seed; types in their shares."""
    ask = ["predict", "--model", str(ran), "--perturbation", "P2+P1", "--n", "50"]
    assert commands.call([*ask, "--out", str(tmp_path / "a.h5ad")]) == DONE
    assert "Monte Carlo errors" in capsys.readouterr().out
    assert commands.call([*ask, "--out", str(tmp_path / "b.h5ad")]) == DONE
    first, again = (anndata.read_h5ad(tmp_path / name) for name in ("a.h5ad", "b.h5ad"))
    assert first.shape == (50, 40)
    counts = first.X.toarray()
    assert np.array_equal(counts, np.rint(counts))
    assert (first.X != again.X).nnz == 0
    assert set(first.layers) == {"mean", "control_counts", "control_mean"}
    assert first.obs.cell_type.value_counts().max() - first.obs.cell_type.value_counts().min() <= 2
    assert np.allclose(first.obs.library, counts.sum(1))
    one = [
        *ask,
        "--cell-type",
        "T2",
        "--batch",
        "B1",
        "--out",
        str(tmp_path / "c.h5ad"),
        "--solver",
        "rk4",
        "--guidance",
        "2",
    ]
    assert commands.call(one) == DONE
    assert set(anndata.read_h5ad(tmp_path / "c.h5ad").obs.cell_type) == {"T2"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--perturbation", "P9"), "'P9' was not among the training data.*known are P1, P2"),
        (("--perturbation", "P1", "--cell-type", "X"), "no cell type 'X' in the model; there are T1, T2, T3"),
        (("--perturbation", "P1", "--batch", "X"), "no batch 'X'"),
        (("--perturbation", "P1", "--n", "0"), "at least one cell"),
        (("--perturbation", "P1", "--solver", "rk4", "--n-steps", "2"), "one step of rk4 takes 4"),
    ],
)
def test_what_cannot_be_predicted_is_refused(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    """Status 4, and a sentence."""
    assert commands.call(["predict", "--model", str(ran), "--out", str(tmp_path / "x.h5ad"), *options]) == REFUSED
    assert pytest.importorskip("re").search(says, capsys.readouterr().err)


def test_a_model_comes_back_to_the_bit(ran: Path) -> None:
    """Weights, bank and anchor; changed names are refused."""
    trained, settings = read_trained(ran, HEALTHY)
    assert settings["seed"] == 0
    assert trained.anchor is not None
    assert trained.vocabulary.perturbations == ("P1", "P2", "P3", "P4", "P5", "P6")
    kept = json.loads((ran / "model.json").read_text())
    kept["facts"]["vocabulary"]["perturbations"][:2] = ["P2", "P1"]
    (ran / "swapped").mkdir()
    (ran / "swapped" / "model.json").write_text(json.dumps(kept))
    (ran / "swapped" / kept["tensors"]).write_bytes((ran / kept["tensors"]).read_bytes())
    with pytest.raises(ValueError, match="the names were changed"):
        read_trained(ran / "swapped", HEALTHY)


@pytest.mark.long
def test_stages_one_by_one(file: Path, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each goes on from what lies there; the names have to be the same; the end is that of all in one."""
    options = ["--data", str(file), "--out", str(tmp_path), "--holdout", "P1+P2,P3@T3", *SMALL]
    assert commands.call(["run", *options, "--stage", "flow"]) == REFUSED
    assert "there is no checkpoint" in capsys.readouterr().err
    for stage in ("vae", "flow", "joint"):
        assert commands.call(["run", *options, "--stage", stage]) == DONE
    assert "marginal" in capsys.readouterr().out
    whole, parts = (read_trained(out, HEALTHY)[0].model.state_dict() for out in (ran, tmp_path))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    other = anndata.read_h5ad(file)[:, ::-1].copy()
    other.write_h5ad(tmp_path / "other.h5ad")
    assert commands.call(["run", *options, "--data", str(tmp_path / "other.h5ad"), "--stage", "flow"]) == REFUSED
    assert "other genes (in another order)" in capsys.readouterr().err
    assert (
        commands.call(["run", *options, "--data", str(tmp_path / "other.h5ad"), "--stage", "flow", "--remap"]) == DONE
    )


def test_validate_and_diagnose(file: Path, ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the data, and how the numbers of a model lie on it."""
    assert commands.call(["validate", "--data", str(file)]) == DONE
    assert "12 treatments of 6 perturbations, 48 control cells" in capsys.readouterr().out
    assert commands.call(["diagnose", "--data", str(file), "--model", str(ran)]) == DONE
    assert capsys.readouterr().out.count("0 of") == 4


def test_faults_are_listed_and_unknown_ones_are_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Near names are offered."""
    assert commands.call(["faults"]) == DONE
    assert capsys.readouterr().out.count("happened:") == 16
    assert commands.call(["run", "--fault", "flow_leek", "--out", str(tmp_path)]) == USAGE
    assert "near it: flow_leak" in capsys.readouterr().err


@pytest.mark.long
def test_statuses(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No skill over the best baseline, where it is required; a missing file; a velocity that is not finite."""
    options = ["run", "--data", str(file), "--holdout", "P1+P2", "--anchor", "none", *SMALL, "--out", str(tmp_path)]
    assert commands.call([*options, "--require-skill"]) == NO_SKILL
    assert "no better than the best baseline" in capsys.readouterr().out
    assert commands.call(["run", "--data", "nowhere.h5ad"]) == REFUSED
    kept = json.loads((tmp_path / "model.json").read_text())
    trained, _ = read_trained(tmp_path, HEALTHY)
    assert kept["facts"]["settings"]["faults"] == []
    assert trained.anchor is None


def test_a_bad_velocity_in_prediction_stops(
    ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3, with the step."""
    ask = ["predict", "--model", str(ran), "--perturbation", "P1", "--out", str(tmp_path / "x.h5ad"), "--n", "20"]
    read = read_trained

    def poisoned(out: Path, parts: Parts) -> tuple[Trained, Any]:
        trained, settings = read(out, parts)
        with torch.no_grad():
            trained.model.field.base.bias[0] = torch.inf
        return trained, settings

    monkeypatch.setattr("evenkeel_recipes.virtual_cell.generating.by_name.read_trained", poisoned)
    assert commands.call(ask) == STOPPED
    assert "sampling of P1 stopped: the velocity held" in capsys.readouterr().err
    assert not (tmp_path / "x.h5ad").exists()


@pytest.mark.long
def test_features_make_unseen_perturbations_predictable(file: Path, tmp_path: Path) -> None:
    """One that no cell had, by its numbers; positions and doses go along."""
    data = anndata.read_h5ad(file)
    data.obsm["spatial"] = np.random.default_rng(0).normal(size=(len(data), 2))
    data.X = sparse.csr_matrix(data.X)
    data.write_h5ad(tmp_path / "s.h5ad")
    rows = [f"P{i}," + ",".join(map(str, np.random.default_rng(i).normal(size=2))) for i in range(1, 9)]
    (tmp_path / "f.csv").write_text("name,a,b\n" + "\n".join(rows) + "\n")
    options = ["--data", str(tmp_path / "s.h5ad"), "--perturbation-features", str(tmp_path / "f.csv")]
    options += ["--spatial-key", "spatial", "--holdout", "P4,P2+P4", "--out", str(tmp_path / "out"), *SMALL]
    assert commands.call(["run", *options]) == DONE
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told["population"]["without_information"] == []
    ask = [
        "predict",
        "--model",
        str(tmp_path / "out"),
        "--perturbation",
        "P8",
        "--out",
        str(tmp_path / "p.h5ad"),
        "--n",
        "9",
    ]
    assert commands.call(ask) == DONE
