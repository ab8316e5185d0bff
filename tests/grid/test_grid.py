"""Every fault in its models and precisions: the right cause, line, phase, step and sample; its neighbour is healthy.

The matrix of faults and causes is tested row by row: all that a fault is told to be lies on its diagonal.
"""

from __future__ import annotations

import inspect
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tests.grid import faults, further_faults
from tests.grid.fault import BRAIN, Fault
from tests.grid.faults import FAULTS
from tests.grid.further_faults import FURTHER
from tests.grid.models import MODELS
from torch import Tensor

import evenkeel
from evenkeel.core.incident import Incident

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")  # one of the faults

BAD_STEP, BAD_SAMPLE, NUM_SAMPLES = 2, 1, 4
PLANTED = [*FAULTS, *FURTHER]
COMPANIONS = {"guard_that_cannot_fire", "scale_mismatch"}  # told below the cause that they go with


def batches(off: float) -> list[tuple[Tensor, Tensor]]:
    """Four batches of four samples; in the third one sample is switched to `off`."""
    torch.manual_seed(0)
    made = [(torch.randn(NUM_SAMPLES, 6), torch.ones(NUM_SAMPLES)) for _ in range(4)]
    made[BAD_STEP][1][BAD_SAMPLE] = off
    return made


def train(fault: Fault, model: str, precision: str, out: Path, *, off: float) -> Incident | None:
    """Four steps under a guard; the incident, when there was one."""
    torch.manual_seed(1)
    net = MODELS[model]()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    guard = evenkeel.Guard(net, optimizer, out=out, capsules=False)

    def loop() -> None:
        for x, on in guard.batches(batches(off)):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16) if precision == BRAIN else nullcontext():
                loss = fault.loss(net(x), on)
            loss.backward()
            optimizer.step()

    try:
        with fault.within():
            loop()
            guard.finish()
    except evenkeel.TrainingStopped:
        assert guard.incident is not None
    return guard.incident


def trained(fault: Fault, out: Path, *, off: float) -> dict[str, Incident | None]:
    """The fault's row: all its models and precisions."""
    cells = [(model, precision) for model in fault.models for precision in fault.precisions]
    return {f"{model}, {p}": train(fault, model, p, out / f"{model}, {p}", off=off) for model, p in cells}


def line_of(fault: Fault) -> tuple[Path, int]:
    """The one line of the fault's file that ends with `# origin: NAME`."""
    source = Path(inspect.getsourcefile(fault.loss) or "")
    lines = enumerate(source.read_text().splitlines(), 1)
    (found,) = [n for n, text in lines if text.endswith(f"# origin: {fault.name}")]
    return source, found


def assert_cell(fault: Fault, incident: Incident | None, where: str) -> None:
    """Line, phase, step, and which sample of the batch; companions are told where they were planted alone."""
    assert incident is not None, where
    case = incident.case
    assert (case.step, case.phase, case.reproduced) == (BAD_STEP, fault.phase, True), where
    assert case.origin is not None
    assert case.origin.operation.place is not None
    place = case.origin.operation.place
    assert (Path(place.file), place.line) == line_of(fault), where
    if fault.is_of_sample:
        assert (case.origin.samples, case.origin.samples_verified) == ((BAD_SAMPLE,), True), where
    assert {cause.name for cause in incident.causes} & COMPANIONS == {fault.cause} & COMPANIONS, where


def test_the_grid_is_whole() -> None:
    """Each loss once, none forgotten; the first table in five models, the second in three, both in both precisions."""
    assert (len(FAULTS), len(FURTHER)) == (33, 21)
    assert len({fault.cause for fault in FAULTS}) == len(FAULTS)
    assert len({fault.name for fault in PLANTED}) == len(PLANTED)
    marks = [Path(module.__file__).read_text().count("# origin: ") for module in (faults, further_faults)]
    assert marks == [len(FAULTS), len(FURTHER)]
    assert {(len(fault.models), len(fault.precisions)) for fault in FAULTS} == {(5, 2)}
    assert {(len(fault.models), len(fault.precisions)) for fault in FURTHER} == {(3, 2)}


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_fault_is_named_in_every_model(fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row of the matrix: every first cause of it is the one that was planted, or the one that is told before it."""
    incidents = trained(fault, tmp_path, off=fault.off)
    told = Counter(incident.causes[0].name if incident else "nothing" for incident in incidents.values())
    assert told == {fault.first or fault.cause: len(fault.models) * len(fault.precisions)}
    for where, incident in incidents.items():
        assert_cell(fault, incident, where)


@pytest.mark.long
@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_healthy_neighbour_is_silent(fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same loss with every sample switched on."""
    assert set(trained(fault, tmp_path, off=1.0).values()) == {None}
    assert capsys.readouterr() == ("", "")
