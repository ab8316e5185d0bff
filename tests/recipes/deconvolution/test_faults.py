"""Every historical failure can be planted, and what ought to be said about the loud ones is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evenkeel_recipes.deconvolution.command import commands
from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import mix, signature_of
from evenkeel_recipes.deconvolution.data.reference import three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.history import kl_with_the_prediction_clamped, mixed_in_logarithms
from evenkeel_recipes.deconvolution.networks.losses import bulk_deviance, mixed, proportion
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.kit.faults import planted

pytestmark = pytest.mark.filterwarnings("ignore:::lightning")

LOUD = {  # name: (text of the line, families that tell the truth, whether it always runs)
    "kl_log_zero": ("predicted.log()", {"domain"}),
    "kl_clamp_true": ("predicted.log()", {"domain"}),
    "free_signature": ("torch.log1p(prototypes / 100)", {"domain"}),
    "unbounded_logvar": ("", {"range"}),
}
REFUSED = {
    "stale_npy": "bulk_train.npy: sha256 is",
    "gene_shuffle": "the genes stand in another order",
    "zero_total_row": "the first is row 7",
    "label_draw": "samples have proportions that no 1000 cells can have, the first is row 0",
    "leaky_split": "cells are in train and in val",
    "nan_print_only": "is not finite; not written",
}
FINITE = {  # name: (status with --require-skill, what the doctor says)
    "kl_clamp_pred": (5, "a suppressed type comes back: 3 of 3 types"),
    "raw_bulk": (5, "no term drowns the others"),
    "log_mixing": (0, "reconstruction is least at the truth"),
    "no_cell_size": (5, "mRNA content counts"),
    "dead_head": (5, "networks get a gradient"),
    "cli_drop": (0, "every option counts: given and not used: --hidden-dim 64, used 128"),
}


def quick(out: Path, *more: str) -> int:
    return commands.call(["run", "--cpu", "--quick-test", "--out", str(out), *more])


def alarms(out: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the doctor finds wrong with a run."""
    capsys.readouterr()
    status = commands.call(["doctor", "--run", str(out)])
    found = [line.removeprefix("FAIL  ") for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert status == (4 if found else 0)
    return found


def test_the_table_is_complete() -> None:
    assert len(FAULTS) == 16
    assert {fault.name for fault in FAULTS} == {*LOUD, *REFUSED, *FINITE}
    assert {fault.name for fault in FAULTS if fault.loud} == {*LOUD, "nan_print_only"}


def test_a_healthy_run_raises_no_alarm_and_beats_every_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick(tmp_path, "--require-skill") == 0
    assert not list(tmp_path.glob("evenkeel/*/incident.json"))
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["headline"] == "mae"
    assert metrics["model"]["mae"] < min(scores["mae"] for scores in metrics["baselines"].values())
    assert "better than every baseline" in capsys.readouterr().out
    written = {path.name for path in tmp_path.iterdir()}
    assert {"proportions.csv", "signature.csv", "model.json", "report.html", "plots", "logs"} <= written
    assert alarms(tmp_path, capsys) == []


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_full_run_by_default_raises_no_alarm(seed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.call(["run", "--cpu", "--yes", "--seed", seed, "--out", str(tmp_path)]) == 0
    assert alarms(tmp_path, capsys) == []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "kl_log_zero" else pytest.mark.long) for name in LOUD]
)
def test_a_loud_fault_is_named(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, families = LOUD[name]
    assert quick(tmp_path, "--fault", name) == 3
    incident = json.loads((tmp_path / "evenkeel" / "deconvolution" / "incident.json").read_text())
    assert (incident["step"], incident["phase"], incident["reproduced"]) == (0, "forward", True)
    assert text in incident["origin"]["source"]
    assert incident["cause"]["family"] in families
    assert not list(tmp_path.glob("checkpoints/*"))
    assert any(alarm.startswith("no incident: training stopped") for alarm in alarms(tmp_path, capsys))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "nan_print_only" else pytest.mark.long) for name in REFUSED]
)
def test_what_cannot_be_trusted_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick(tmp_path, "--fault", name) == 4
    assert REFUSED[name] in capsys.readouterr().err
    assert not (tmp_path / "model.json").exists()
    assert not list(tmp_path.glob("checkpoints*/*.ckpt"))
    assert alarms(tmp_path, capsys)


@pytest.mark.parametrize("name", [name for name in REFUSED if name != "nan_print_only"])
def test_samples_that_cannot_be_trusted_are_refused_before_training(
    name: str, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--n-train", "40", "--n-val", "24", "--n-test", "10", "--redraws", "2", "--reference", str(reference)]
    assert commands.call(["simulate", *data, "--fault", name, "--out", str(tmp_path / "data")]) == 0
    assert commands.call(["validate", "--data-dir", str(tmp_path / "data")]) == 4
    assert REFUSED[name] in capsys.readouterr().out
    run = ["run", "--cpu", "--config", str(tmp_path / "data/run.yaml"), "--out", str(tmp_path / "run")]
    assert commands.call(run) == 4
    told = capsys.readouterr()
    assert REFUSED[name] in told.err
    assert f"FAULT PLANTED: {name}" in told.out
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "dead_head" else pytest.mark.long) for name in FINITE]
)
def test_a_silent_fault_is_seen_by_the_doctor_or_in_the_skill(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, sentence = FINITE[name]
    assert quick(tmp_path, "--fault", name, "--hidden-dim", "64", "--require-skill") == status
    told = capsys.readouterr().out
    assert f"FAULT PLANTED: {name}" in told
    assert ("NOT better than" in told) == (status == 5)
    assert not list(tmp_path.glob("evenkeel/*/incident.json"))
    assert any(alarm.startswith(sentence) for alarm in alarms(tmp_path, capsys))
    kept = json.loads((tmp_path / "model.json").read_text())["facts"]["options"]
    assert kept["fault"] == json.loads((tmp_path / "metrics.json").read_text())["population"]["faults"] == [name]


def test_a_clamped_prediction_gets_no_gradient_where_the_right_one_does() -> None:
    target = torch.tensor([[0.2, 0.3, 0.5]])
    for loss, expected in ((kl_with_the_prediction_clamped, False), (proportion, True)):
        logits = torch.tensor([[0.0, -200.0, -400.0]], requires_grad=True)
        loss(logits, target).backward()
        assert logits.grad is not None
        assert bool((logits.grad[0, 1:] != 0).all()) is expected


def test_mixing_logarithms_is_not_zero_at_the_truth() -> None:
    rng = np.random.default_rng(0)
    signature = torch.from_numpy(rng.dirichlet(np.ones(50), 3))
    shares = torch.from_numpy(rng.dirichlet(np.ones(3), 4))
    bulk = shares @ signature
    negentropy = torch.xlogy(bulk, bulk).sum(-1)
    assert float(bulk_deviance(mixed(shares, signature), bulk, negentropy)) == pytest.approx(0, abs=1e-12)
    assert float(mixed_in_logarithms(shares, signature, bulk, negentropy)) > 1e-3


def test_faults_of_the_data_are_in_the_data() -> None:
    reference = draw_cells(make_world(0, n_genes=300), 300, 0)
    mixtures = mix(reference, 20, 100, 1.0, 0)
    drawn = planted(healthy(), ("label_draw",), FAULTS).labels(mixtures)
    assert not np.allclose(drawn * 100, np.rint(drawn * 100), atol=1e-6)
    assert np.allclose(healthy().labels(mixtures) * 100, np.rint(healthy().labels(mixtures) * 100))
    leaky = planted(healthy(), ("leaky_split",), FAULTS).parts(reference, 0)
    assert set(leaky.train.cells) & set(leaky.test.cells)
    assert not set(three_parts(reference, 0).train.cells) & set(three_parts(reference, 0).test.cells)
    signature = signature_of(reference)
    assert np.ptp(planted(healthy(), ("no_cell_size",), FAULTS).content(signature)) == 0
    assert np.ptp(healthy().content(signature)) > 0


def test_options_that_are_dropped() -> None:
    config = planted(healthy(), ("cli_drop",), FAULTS).configured(RunConfig(hidden_dim=7, patience=3))
    assert (config.hidden_dim, config.patience) == (128, 20)
    assert healthy().configured(RunConfig(hidden_dim=7)).hidden_dim == 7
