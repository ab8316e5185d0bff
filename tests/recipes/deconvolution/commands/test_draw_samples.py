"""`simulate`: samples without training, which a run then trains on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.deconvolution.command import commands

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")
SIZES = ("--n-train", "60", "--n-val", "24", "--n-test", "20", "--n-cells", "80", "--redraws", "2", "--n-genes", "100")
TINY = ("--cpu", "--max-epochs", "1", "--hidden-dim", "8", "--members", "1")


def test_a_run_goes_on_from_simulated_samples(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "run"
    assert commands.call(["simulate", "--out", str(data), *SIZES, "--reference", str(reference)]) == 0
    assert "no cell is in two splits" in capsys.readouterr().out
    written = (data / "bulk_train.npy").read_bytes()
    assert np.load(data / "bulk_totals_train.npy").shape == (60,)
    assert commands.call(["run", *TINY, "--config", str(data / "run.yaml"), "--out", str(out)]) == 0
    assert not (out / "data").exists()
    told = capsys.readouterr().out
    assert "Normalizing" not in told
    assert "epoch 1 of at most 1, val_metrics/prop_mae" in told
    assert (data / "bulk_train.npy").read_bytes() == written
    assert commands.call(["doctor", "--run", str(out)]) in {0, 4}  # one epoch need not beat every baseline
    assert "pass  samples: 43 checks" in capsys.readouterr().out
    assert commands.call(["run", *TINY, "--data-dir", str(data), "--out", str(out)]) == 4
    refusal = capsys.readouterr().err
    assert "--n-train was 60, is 10000" in refusal
    assert f"(--config {data / 'run.yaml'})" in refusal


def test_nothing_is_overwritten_unasked(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "--out", str(tmp_path / "data"), *SIZES, "--reference", str(reference)]
    assert commands.call(arguments) == 0
    first = (tmp_path / "data/bulk_train.npy").read_bytes()
    assert commands.call([*arguments, "--seed", "1"]) == 4
    assert "holds samples already; --force overwrites them" in capsys.readouterr().err
    assert (tmp_path / "data/bulk_train.npy").read_bytes() == first
    assert commands.call([*arguments, "--seed", "1", "--force"]) == 0
    assert (tmp_path / "data/bulk_train.npy").read_bytes() != first


def test_the_same_seed_draws_the_same_samples(reference: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert commands.call(["simulate", "--out", str(tmp_path / name), *SIZES, "--reference", str(reference)]) == 0
    for path in (tmp_path / "a").glob("*.npy"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_fewer_samples_than_redraws_are_refused(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        commands.call(
            ["simulate", "--out", str(tmp_path / "data"), *SIZES, "--reference", str(reference), "--n-train", "1"]
        )
        == 4
    )
    assert "1 training samples cannot come from 2 redraws" in capsys.readouterr().err
