"""Bad data, bad state and bad dynamics in every model and precision; the same runs without the fault are healthy.

As in `test_grid`, each run is a row of the matrix of what was planted and what is told.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.grid.runs import RUNS, Batches, Run, nothing, unspoiled
from torch import nn

import evenkeel
from evenkeel.core.incident import Incident

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute")  # compilation itself looks at it

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
    net = run.build(run.models[model]())
    parameters = [p for name, p in net.named_parameters() if not name.startswith("teacher.")]
    optimizer = torch.optim.SGD(parameters, lr=run.rate)
    guard = evenkeel.Guard(net, optimizer, out=out, check_parameters=evenkeel.every(1), capsules=False)
    run.after(net, -1)

    def loop() -> None:
        for step, (x, _) in enumerate(guard.batches(given)):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext():
                loss = run.loss(net, x)
            loss.backward()
            if run.clip is not None:
                nn.utils.clip_grad_norm_(parameters, run.clip)
            optimizer.step()
            run.after(net, step)

    try:
        loop()
        guard.finish()
    except evenkeel.TrainingStopped:
        assert guard.incident is not None
    return guard.incident


def trained(run: Run, out: Path) -> dict[str, Incident | None]:
    """The run's row: all its models and both precisions."""
    cells = [(model, precision) for model in run.models for precision in PRECISIONS]
    return {f"{model}, {p}": train(run, model, p, out / f"{model}, {p}") for model, p in cells}


def assert_cell(run: Run, incident: Incident | None, where: str) -> None:
    """Phase, step, and the sample where it is one's."""
    assert incident is not None, where
    case = incident.case
    assert (case.phase, case.reproduced) == (run.phase, run.comes_again), where
    assert case.step == (case.step if run.step is None else run.step), where
    assert (case.origin is not None) is run.comes_again, where
    if run.samples is not None:
        assert case.origin is not None
        assert (case.origin.samples, case.origin.samples_verified) == (run.samples, True), where


def test_the_table_is_whole() -> None:
    """Nothing was left out by mistake."""
    assert len(RUNS) == 19
    assert len({run.name for run in RUNS}) == len(RUNS)
    assert Counter(len(run.models) for run in RUNS) == {5: 13, 3: 6}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_run_is_explained_in_every_model(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row of the matrix: every first cause of it is the one that was planted."""
    incidents = trained(run, tmp_path)
    told = Counter(incident.causes[0].name if incident else "nothing" for incident in incidents.values())
    assert told == {run.cause: len(run.models) * len(PRECISIONS)}
    for where, incident in incidents.items():
        assert_cell(run, incident, where)


@pytest.mark.long
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_run_without_the_fault_is_healthy(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same model, loss and data with nothing spoiled, at a small rate."""
    healthy = replace(run, spoil=unspoiled, after=nothing, rate=min(run.rate, 1e-6))
    assert set(trained(healthy, tmp_path).values()) == {None}
    assert capsys.readouterr() == ("", "")
