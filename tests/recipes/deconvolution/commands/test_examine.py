"""`test`: a checkpoint on unseen mixtures, found again or named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from evenkeel_recipes.deconvolution.command import commands


def test_the_best_checkpoint_of_the_newest_run_is_found(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied.parent)
    assert commands.call(["test", "--auto", "--experiment", "deconvolution", "--n-test", "80"]) == 0
    told, out = capsys.readouterr().out, copied / "test"
    remembered = torch.load(copied / "checkpoints/last.ckpt", weights_only=True)["callbacks"]
    best = next(Path(state["best_model_path"]).name for state in remembered.values() if "best_model_path" in state)
    assert f"run/checkpoints/{best}: 80 mixtures" in told
    lines = {line.partition("=")[0]: line for line in told.splitlines() if "| skill=" in line}
    assert lines["mae"].endswith("| ceiling=0 | coverage=640/640")
    assert lines["pearson"].endswith("| ceiling=1 | coverage=8/8")
    assert lines["l1"].endswith("| coverage=80/80")
    assert {path.name for path in (out / "plots").iterdir()} == {
        f"{name}.png" for name in ("scatter", "per_type", "residual", "calibration", "baselines")
    }
    truth, found = np.load(out / "props_test_true.npy"), np.load(out / "props_test_pred.npy")
    assert truth.shape == found.shape == (80, 8)
    assert found.sum(1) == pytest.approx(1)
    scores = json.loads((out / "metrics.json").read_text())
    assert np.abs(truth - found).mean() == pytest.approx(scores["model"]["mae"])
    assert scores["model"]["mae"] < scores["baselines"]["constant"]["mae"] / 3
    each = pd.read_csv(out / "per_celltype_metrics.csv")
    assert each["mae"].mean() == pytest.approx(scores["model"]["mae"])
    assert (out / "test_summary.txt").read_text() in told
    seen = {tuple(row) for row in np.load(copied / "data/props_test.npy")}
    assert not seen & {tuple(row) for row in truth}
    assert commands.call(["test", "--auto", "--experiment", "other"]) == 4
    assert "no run named 'other'" in capsys.readouterr().err


def test_a_checkpoint_can_be_named_and_what_is_none_is_refused(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = copied / "checkpoints/last.ckpt"
    arguments = ["test", "--n-test", "20", "--out", str(tmp_path / "judged"), "--checkpoint"]
    assert commands.call([*arguments, str(last)]) == 0
    assert (tmp_path / "judged/test_summary.txt").is_file()
    (copied / "checkpoints/nonsense.ckpt").write_text("nonsense")
    kept = torch.load(last, weights_only=True)
    kept["state_dict"]["model.signature.logits"][0, 0] = torch.nan
    torch.save(kept, copied / "checkpoints/nan.ckpt")
    for name, sentence in (
        ("none.ckpt", "there is no checkpoint"),
        ("nonsense.ckpt", "is no checkpoint of Lightning, or damaged"),
        ("nan.ckpt", "signature.logits is not finite"),
    ):
        assert commands.call([*arguments, str(copied / "checkpoints" / name)]) == 4
        assert sentence in capsys.readouterr().err
    assert commands.call(["test"]) == 2
    assert commands.call([*arguments, str(last), "--auto"]) == 2


def test_a_reference_that_has_changed_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "options.json"
    options = json.loads(path.read_text())
    options["used"]["seed"] = 7
    path.write_text(json.dumps(options))
    assert commands.call(["test", "--checkpoint", str(copied / "checkpoints/last.ckpt")]) == 4
    assert "the samples were made of other cells than the reference has" in capsys.readouterr().err
