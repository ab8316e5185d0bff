"""What is tried on a bad step of an unmodified program: in its own loop, and on runs from its start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

Start = Callable[..., Any]
Project = Callable[..., Path]

HEAD = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
"""

IN_LOADER = (
    HEAD
    + """
x, y = torch.randn(64, 4), torch.randint(3, (64,))
x[37] *= 1e4
model = nn.Linear(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(2):
    for a, b in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
        z = model(a)
        p = torch.softmax(z, dim=1)
        loss = -torch.log(p)[torch.arange(len(b)), b].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
)

SLICES = (
    HEAD
    + """
x = torch.randn(64, 4)
x[32:40] *= 1e4
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
for i in range(0, 64, 8):
    z = model(x[i : i + 8])
    loss = torch.log(1 + torch.exp(z)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

DIVERGES = (
    HEAD
    + """
x = torch.linspace(1, 10, 10)[:, None]
y = 3 * x + 1
model = nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for step in range(60):
    loss = (model(x) - y).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

NOT_MENDED = (
    HEAD
    + """
x = torch.randn(64, 4)
x[21:29] = float("nan")  # in step 1
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for (a,) in DataLoader(TensorDataset(x), batch_size=16):
    loss = model(a).sum(dim=0).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


FAILS_FROM_ANY_STATE = (
    HEAD
    + """
x = torch.randn(64, 4)
x[37] = torch.inf  # in step 4
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for i in range(0, 64, 8):
    loss = model(x[i : i + 8]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)

COMES_AND_GOES = (
    HEAD
    + """
from pathlib import Path

x = torch.randn(64, 4)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step, (a,) in enumerate(DataLoader(TensorDataset(x), batch_size=8)):
    loss = model(a).square().mean() + UNWRITTEN
    if step == 2 and not Path("once").exists():
        Path("once").touch()
        loss = loss * torch.nan
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


def tried(start: Start, project: Project, tmp_path: Path, text: str, *options: str) -> dict[str, Any]:
    """The incident of a program, run as users run it."""
    directory = project(**{"train.py": text})
    done = start(*options, "train.py", out=tmp_path / "out", cwd=directory)
    assert done.status == 3, done.said
    told: dict[str, Any] = json.loads((tmp_path / "out" / "incident.json").read_text())
    return told


def outcomes(told: dict[str, Any]) -> dict[str, bool]:
    """Which experiments were healthy."""
    return {e["name"]: e["healthy"] for e in told["experiments"]}


def test_loop_over_a_loader(with_experiments: Start, project: Project, tmp_path: Path) -> None:
    """The stable form is found in the loop itself, and its patch proves itself in a run from the start."""
    told = tried(with_experiments, project, tmp_path, IN_LOADER, "--fix-preview")
    assert outcomes(told)["stable form: log_softmax"]
    first = told["advice"][0]
    assert "log_softmax" in first["text"]
    assert "from its start to step" in first["verified_by"]
    assert "+        loss = -torch.log_softmax(z, dim=1)[torch.arange(len(b)), b].mean()" in first["diff"]
    assert (tmp_path / "out" / "fix.patch").read_text() == first["diff"]


def test_loop_that_takes_slices(with_experiments: Start, project: Project, tmp_path: Path) -> None:
    """Its step cannot come again in the loop: what is tried, is tried on runs from the start."""
    told = tried(with_experiments, project, tmp_path, SLICES)
    assert "in a child process" in told["how_replayed"]
    assert outcomes(told) == {"stable form: softplus": True}
    assert "nn.functional.softplus(z)" in told["advice"][0]["diff"]


def test_learning_rate_that_is_too_large(with_experiments: Start, project: Project, tmp_path: Path) -> None:
    """A tenth of it only takes longer to diverge; that is no remedy, though the failing step is finite."""
    told = tried(with_experiments, project, tmp_path, DIVERGES)
    assert told["cause"]["family"] == "dynamics"
    assert outcomes(told)["earlier snapshot"]  # evidence, not advice
    assert any("updates before the failing step" in evidence for evidence in told["cause"]["evidence"])
    assert not any("updates before" in (advice["verified_by"] or "") for advice in told["advice"])
    tried_rates = {name: healthy for name, healthy in outcomes(told).items() if name.startswith("smaller step")}
    assert tried_rates == {"smaller step: 0.1": False, "smaller step: 0.01": True}
    assert any(name.startswith("clipped gradients") for name in outcomes(told))
    assert told["advice"][0]["text"].startswith("Lower the learning rate to about 0.01")
    assert told["advice"][0]["diff"] is None


def test_batch_that_is_bad_from_any_state(with_experiments: Start, project: Project, tmp_path: Path) -> None:
    """Where the loop cannot repeat the step and no form fits, the state of two updates earlier fails as well."""
    told = tried(with_experiments, project, tmp_path, FAILS_FROM_ANY_STATE)
    assert told["step"] == 4
    assert outcomes(told)["earlier snapshot"] is False
    assert not any(outcomes(told).values())
    assert "2 updates before" in told["experiments"][-1]["changed"]
    assert all(advice["verified_by"] is None for advice in told["advice"])


def test_data_that_no_form_mends(with_experiments: Start, project: Project, tmp_path: Path) -> None:
    """Where the batch is bad, nothing pretends to mend it: the samples are verified, and no run from the start made."""
    told = tried(with_experiments, project, tmp_path, NOT_MENDED)
    assert told["origin"]["samples_verified"] is True
    assert outcomes(told) == {"without samples": True}
    assert told["advice"][0]["verified_by"] is None


@pytest.mark.parametrize(
    ("unwritten", "cause"),
    [
        ("torch.zeros(3).sum()", "not_reproduced"),
        ("0 * torch.empty(10_000_000).sum()", "uninitialised_memory"),  # always fresh pages: 32 MiB is malloc's limit
    ],
)
def test_failure_that_comes_and_goes(
    unwritten: str, cause: str, with_experiments: Start, project: Project, tmp_path: Path
) -> None:
    """It does not come again in the loop nor in a child: it is made again unchanged, and with memory filled."""
    fails_when_filled = cause == "uninitialised_memory"
    told = tried(with_experiments, project, tmp_path, COMES_AND_GOES.replace("UNWRITTEN", unwritten))
    assert not told["reproduced"]
    names = [e["name"] for e in told["experiments"]]
    assert names == ["unchanged", "unchanged", "unchanged", "uninitialised memory filled"]
    assert [e["healthy"] for e in told["experiments"]] == [True, True, True, not fails_when_filled]
    assert told["repeats"] == [False, False, False]
    assert told["fails_when_filled"] is fails_when_filled
    assert told["cause"]["class"] == cause
    assert told["cause"]["family"] == "hardware"
    assert "healthy each time" in " ".join([told["cause"]["text"], *told["cause"]["evidence"]])


KINDS = ("gan_generator", "accumulation", "lbfgs", "manual_sgd", "amp_unscale_clip")


def test_nothing_is_tried_when_nobody_wants_it(supervised: Start, project: Project, tmp_path: Path) -> None:
    """`--no-experiments`: one replay, no child."""
    told = tried(supervised, project, tmp_path, IN_LOADER)
    assert told["experiments"] == []
    assert not (tmp_path / "out" / "rerun").exists()


@pytest.mark.parametrize("script", rows(KINDS, always={"gan_generator", "manual_sgd"}))
def test_loops_of_every_kind_bear_it(script: str, with_experiments: Start, tmp_path: Path) -> None:
    """Two optimizers, several batches a step, a closure, an update by hand, a scaler: the run ends as it should."""
    done = with_experiments(f"{script}.py", out=tmp_path / "out")
    assert done.status == 3, done.said
    told = json.loads((tmp_path / "out" / "incident.json").read_text())
    assert told["reproduced"]
    assert told["experiments"]
