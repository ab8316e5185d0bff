"""Exit statuses of runs, what a run refuses, and what stands in its directory about alarms, time and memory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import anndata
import numpy as np
import pytest

from evenkeel_recipes.kit.refusal import DONE, NO_SKILL, REFUSED, USAGE
from evenkeel_recipes.virtual_cell.command import commands

VAE = ("--stage", "vae", "--epochs-vae", "1", "--hidden-dim", "32", "--holdout", "P1+P2")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--batch-size", "0"), "x>=1"),
        (("--dropout", "1"), "0<=x<1"),
        (("--lr", "-1"), "x>=0"),
        (("--clip", "0"), "x>0"),
        (("--log-var-bound", "0"), "x>0"),
        (("--eval-cells", "1"), "x>=2"),
        (("--stage", "vae", "--epochs-vae", "0", "--holdout", "P1+P2"), "trains nothing"),
    ],
)
def test_numbers_that_make_no_sense_are_usage(
    options: tuple[str, ...], says: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, with what is allowed."""
    assert commands.call(["run", "--data", str(file), "--out", str(tmp_path), *options]) == USAGE
    assert says in capsys.readouterr().err


def test_a_vae_that_is_no_better_than_marginals_ends_with_5_where_skill_is_required(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And tells what a step took, and how much memory, with --profile."""
    options = ["run", "--data", str(file), "--out", str(tmp_path), *VAE, "--lr", "0", "--profile"]
    assert commands.call(options) == DONE
    told = capsys.readouterr().out
    assert re.search(r"vae: 1 epochs of 8 steps, [\d.]+ ms a step .* at most [\d,]+ MB", told), told
    assert re.search(r"nll=[\d.]+ \| baseline\(marginal\)=[\d.]+ \| skill=-", told)
    assert commands.call([*options, "--require-skill"]) == NO_SKILL


def test_too_few_cells_are_refused(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of each condition, at random or by name, to judge by; none that is perturbed to train on."""
    data = anndata.read_h5ad(file)
    first = ~data.obs[["perturbation", "cell_type"]].duplicated().to_numpy()
    data[first | (data.obs.perturbation == "control").to_numpy()].write_h5ad(tmp_path / "one.h5ad")
    options = ["run", "--data", str(tmp_path / "one.h5ad"), "--out", str(tmp_path / "out")]
    assert commands.call(options) == REFUSED
    assert "no treatment has cells enough for 4 of a type to be held out at random" in capsys.readouterr().err
    assert commands.call([*options, "--holdout", "P1@T1"]) == REFUSED
    assert "P1@T1 has 1 cells; at least 4 are needed to judge by" in capsys.readouterr().err
    everything = ",".join(sorted(set(data.obs.perturbation) - {"control"}))
    whole = ["run", "--data", str(file), "--out", str(tmp_path / "out"), "--holdout", everything]
    assert commands.call(whole) == REFUSED
    assert "all perturbed cells are held out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_clean_run_has_no_alarm(ran: Path) -> None:
    """In metrics.json; and every step was made."""
    assert json.loads((ran / "metrics.json").read_text())["population"]["alarms"] == []
    lines = [json.loads(line) for line in (ran / "history.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert all(line["skipped"] == 0 and line["nan_step"] is None for line in lines)
    assert all(line["left_by_clip"] == pytest.approx(1, abs=1e-4) for line in lines)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["amp_no_unscale", "no_library", "control_onehot"])
def test_alarms_stand_beside_the_scores(
    fault: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training goes on, and metrics.json and the page say what is wrong."""
    options = ["run", "--data", str(file), "--out", str(tmp_path), "--quick-test", "--hidden-dim", "32"]
    commands.call([*options, "--eval-cells", "60", "--holdout", "P1+P2", "--fault", fault])
    assert f"FAULT PLANTED: {fault}" in capsys.readouterr().err
    population = json.loads((tmp_path / "metrics.json").read_text())["population"]
    assert population["faults"] == [fault]
    assert population["alarms"]
    assert all(line.startswith("ALARM in ") for line in population["alarms"])
    assert "ALARM in " in (tmp_path / "report.html").read_text()


@pytest.mark.long
def test_types_without_controls_are_trained_on(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said beforehand; their cells begin as controls of other types do; held out, they are refused."""
    data = anndata.read_h5ad(file)
    data[np.asarray((data.obs.perturbation != "control") | (data.obs.cell_type != "T2"))].write_h5ad(
        tmp_path / "few.h5ad"
    )
    options = ["run", "--data", str(tmp_path / "few.h5ad"), "--out", str(tmp_path / "out"), "--quick-test"]
    options += ["--hidden-dim", "32", "--eval-cells", "60", "--holdout"]
    assert commands.call([*options, "P1+P2@T1"]) == DONE
    assert commands.call([*options, "P1+P2@T2"]) == REFUSED
    assert "T2 has 0 control cells to judge by" in capsys.readouterr().err
