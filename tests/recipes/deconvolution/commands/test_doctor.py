"""The checklist: a sound run passes each line, and each thing that can go wrong fails its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evenkeel_recipes.deconvolution.command import commands


def lines(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    status = commands.call(["doctor", "--run", str(run)])
    return status, capsys.readouterr().out.splitlines()


def failed(told: list[str]) -> list[str]:
    return [line.removeprefix("FAIL  ").partition(":")[0] for line in told if line.startswith("FAIL")]


def test_a_sound_run_passes(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = json.loads((copied / "metrics.json").read_text())
    scores["model"]["mae"] = 1e-3  # two epochs on 400 samples may not beat every baseline
    (copied / "metrics.json").write_text(json.dumps(scores))
    status, told = lines(copied, capsys)
    assert (status, failed(told)) == (0, [])
    assert len([line for line in told if line.startswith("pass")]) == 15
    assert "pass  samples: 43 checks" in told


def in_json(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        found = json.loads((run / name).read_text())
        change(found)
        (run / name).write_text(json.dumps(found))

    return apply


def in_log(column: str, value: float) -> Callable[[Path], None]:
    def apply(run: Path) -> None:
        path = next(run.glob("logs/deconvolution-csv/version_0/metrics.csv"))
        table = pd.read_csv(path)
        table.loc[table[column].first_valid_index(), column] = value
        table.to_csv(path, index=False)

    return apply


def lost(metrics: dict[str, Any], on_validation: float, best_there: float) -> None:
    """Worse than every baseline on the test samples; on those of validation as told."""
    metrics["model"]["mae"] = 0.5
    metrics["population"]["mae_of_validation"] = {"model": on_validation, "nnls": best_there, "constant": 0.6}


def an_incident(run: Path) -> None:
    (run / "evenkeel/deconvolution").mkdir(parents=True, exist_ok=True)
    (run / "evenkeel/deconvolution/incident.json").write_text("{}")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (in_json("options.json", lambda found: found["used"].update(hidden_dim=99)), "every option counts"),
        (lambda run: (run / "data/bulk_val.npy").unlink(), "files as written"),
        (
            in_json(
                "data/simulation_summary.json",
                lambda found: found.update(counts_of_a_cell={f"type{kind}": 9.0 ** (9 * kind) for kind in range(8)}),
            ),
            "mRNA content counts",
        ),
        (an_incident, "no incident"),
        (in_log("val_loss", np.nan), "losses are finite"),
        (in_log("bulk/loss_recon", 1e9), "no term drowns the others"),
        (in_log("sc/loss_recon", 1e-3), "cells are reconstructed better"),
        (lambda run: next(run.glob("model-*.safetensors")).unlink(), "result"),
        (lambda run: np.save(run / "props_test_pred.npy", np.full((60, 8), 0.125)), "estimates vary"),
        (in_json("metrics.json", lambda found: lost(found, 0.5, 0.5)), "better than every baseline"),
        (in_json("metrics.json", lambda found: lost(found, 0.01, 0.01)), "better than every baseline"),
    ],
)
def test_what_is_wrong_is_named(
    change: Callable[[Path], None], wrong: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, before = lines(copied, capsys)
    assert wrong not in failed(before) or wrong == "better than every baseline"
    change(copied)
    status, told = lines(copied, capsys)
    assert status == 4
    assert wrong in failed(told)


def test_losing_on_one_set_of_cells_is_told_and_is_no_failure(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All test samples are mixed of the same few cells: another set of cells has a say."""
    in_json("metrics.json", lambda found: lost(found, 0.01, 0.02))(copied)
    _, told = lines(copied, capsys)
    assert not [line for line in failed(told) if "baseline" in line]
    (note,) = [line for line in told if line.startswith("note  better than every baseline")]
    assert note.endswith("but on samples of other cells 0.01 beside 0.02 of the best")


def test_what_an_earlier_run_left_is_not_taken_for_this_one(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    an_incident(copied)
    later = (copied / "metrics.json").stat().st_mtime + 100
    os.utime(copied / "options.json", (later, later))
    _, told = lines(copied, capsys)
    assert "later losses: the first epoch has not ended" in told
    assert "later result: no model.json yet" in told
    assert "pass  no incident" in told
