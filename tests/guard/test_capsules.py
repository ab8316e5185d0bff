"""A guard in Python freezes the bad step beside its incident."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import evenkeel
from evenkeel.capsule.manifest import Manifest
from evenkeel.capsule.thaw import Capsule, thaw
from evenkeel.guard.guard import Guard


def trained(out: Path, bad: int = 3, *, policy: str = "stop") -> Guard:
    """A model whose batch `bad` has a row of zeros under a logarithm."""
    gc.collect()  # models of other tests are none of the program's
    torch.manual_seed(0)
    x = torch.rand(32, 2) + 0.5
    x[4 * bad + 1] = 0.0
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    guard = Guard(model, optimizer, policy=policy, out=out, experiments=False)  # type: ignore[arg-type]
    for (inputs,) in guard.batches(DataLoader(TensorDataset(x), batch_size=4)):
        loss = (model(inputs) - torch.log(inputs)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return guard


def written(out: Path) -> tuple[Capsule, Manifest]:
    """The capsule of a run."""
    capsule = thaw(out / "capsule")
    return capsule, capsule.manifest


def test_the_step_is_frozen_as_it_began(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parameters before the update, buffers before the forward pass, the batch, the optimizer."""
    with pytest.raises(evenkeel.TrainingStopped):
        trained(tmp_path)
    capsule, manifest = written(tmp_path)
    assert (manifest.begin, manifest.step, manifest.seen.step, manifest.updater) == ("state", 3, 3, 0)
    assert manifest.program.as_module in (True, False)
    assert capsule.model["Sequential[0].1.num_batches_tracked"].item() == 3
    assert all(capsule.model[f"Sequential[0].{name}"].isfinite().all() for name in ("0.weight", "1.running_var"))
    assert capsule.updaters[0].state[0][1]["step"].item() == 3
    batch = capsule.batches[0].as_in([torch.ones(4, 2)])
    assert isinstance(batch, list)
    assert batch[0][1].tolist() == [0, 0]
    assert capsule.random_at_start is None
    incident = json.loads((tmp_path / "incident.json").read_text())
    assert incident["capsule"] == str(tmp_path / "capsule")
    assert incident["capsule_bytes"] == sum(p.stat().st_size for p in (tmp_path / "capsule").iterdir())
    assert "evenkeel replay" in capsys.readouterr().err
    assert json.loads(capsule.incident)["step"] == 3


def test_a_capsule_that_cannot_be_written_loses_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The incident is there, and what went wrong is said."""
    (tmp_path / "capsule").mkdir()
    with pytest.raises(evenkeel.TrainingStopped):
        trained(tmp_path)
    assert json.loads((tmp_path / "incident.json").read_text())["capsule"] is None
    assert f"evenkeel: no capsule was written into {tmp_path}" in capsys.readouterr().err


def test_the_first_step_comes_from_the_start(tmp_path: Path) -> None:
    """There is nothing that it could come after."""
    with pytest.raises(evenkeel.TrainingStopped):
        trained(tmp_path, bad=0)
    _, manifest = written(tmp_path)
    assert (manifest.begin, manifest.why) == ("start", "it is the first step")


def test_writing_it_changes_nothing(tmp_path: Path) -> None:
    """A run that goes on under `skip` ends as it would without: see the bits in tests/end_to_end/test_policy_skip."""
    guard = trained(tmp_path, policy="skip")
    assert guard.incident is not None
    assert guard.incident.capsule == str(tmp_path / "capsule")
    _, manifest = written(tmp_path)
    assert manifest.begin == "state"
