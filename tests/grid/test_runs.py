"""Bad data, bad state and bad dynamics in every model and precision; the same runs without the fault are healthy."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.grid.models import MODELS
from tests.grid.runs import RUNS, Batches, Run, nothing, unspoiled
from torch import nn

import evenkeel
from evenkeel.core.incident import Incident

PRECISIONS = ("float32", "bfloat16")
NUM_STEPS, NUM_SAMPLES = 12, 4


def batches() -> Batches:
    """Batches of four samples."""
    torch.manual_seed(0)
    return [(torch.randn(NUM_SAMPLES, 6), torch.zeros(NUM_SAMPLES)) for _ in range(NUM_STEPS)]


def train(run: Run, model: str, precision: str, out: Path) -> Incident | None:
    """Some steps under a guard; the incident, when there was one."""
    given = batches()
    run.spoil(given)
    torch.manual_seed(1)
    net = run.build(MODELS[model]())
    trained = [p for name, p in net.named_parameters() if not name.startswith("teacher.")]
    optimizer = torch.optim.SGD(trained, lr=run.rate)
    guard = evenkeel.Guard(net, optimizer, out=out, check_parameters=evenkeel.every(1))
    run.after(net, -1)

    def loop() -> None:
        for step, (x, _) in enumerate(guard.batches(given)):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext():
                loss = run.loss(net, x)
            loss.backward()
            if run.clip is not None:
                nn.utils.clip_grad_norm_(trained, run.clip)
            optimizer.step()
            run.after(net, step)

    try:
        loop()
        guard.finish()
    except evenkeel.TrainingStopped:
        assert guard.incident is not None
    return guard.incident


def test_the_table_is_whole() -> None:
    """Nothing was left out by mistake."""
    assert len(RUNS) == 11
    assert len(MODELS) == 5


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_run_is_explained_in_every_model(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cause, phase, step, and the sample where it is one's."""
    for model in MODELS:
        for precision in PRECISIONS:
            where = f"{model}, {precision}"
            incident = train(run, model, precision, tmp_path / where)
            assert incident is not None, where
            case, cause = incident.case, incident.causes[0]
            assert cause.name == run.cause, f"{where}: {cause.text}"
            assert (case.phase, case.reproduced) == (run.phase, run.comes_again), where
            assert case.step == (case.step if run.step is None else run.step), where
            assert (case.origin is not None) is run.comes_again
            if run.samples is not None:
                assert (case.origin.samples, case.origin.samples_verified) == (run.samples, True), where


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_run_without_the_fault_is_healthy(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same model, loss and data with nothing spoiled, at a small rate."""
    healthy = replace(run, spoil=unspoiled, after=nothing, rate=1e-6)
    for model in MODELS:
        for precision in PRECISIONS:
            assert train(healthy, model, precision, tmp_path / f"{model}, {precision}") is None
    assert capsys.readouterr() == ("", "")
