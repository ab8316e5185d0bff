"""Every fault in every model and precision: the right cause, line, phase, step and sample; its neighbour is healthy."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from tests.grid import faults
from tests.grid.faults import BRAIN, FAULTS, Fault
from tests.grid.models import MODELS
from torch import Tensor

import evenkeel
from evenkeel.core.incident import Incident

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")  # one of the faults

BAD_STEP, BAD_SAMPLE, NUM_SAMPLES = 2, 1, 4
CELLS = [(fault, model, precision) for fault in FAULTS for model in MODELS for precision in fault.precisions]
SOURCE = Path(faults.__file__)


def batches(*, bad: bool) -> list[tuple[Tensor, Tensor]]:
    """Four batches of four samples; in the third one sample is switched off."""
    torch.manual_seed(0)
    made = [(torch.randn(NUM_SAMPLES, 6), torch.ones(NUM_SAMPLES)) for _ in range(4)]
    if bad:
        made[BAD_STEP][1][BAD_SAMPLE] = 0.0
    return made


def train(fault: Fault, model: str, precision: str, out: Path, *, bad: bool) -> Incident | None:
    """Four steps under a guard; the incident, when there was one."""
    torch.manual_seed(1)
    net = MODELS[model]()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    guard = evenkeel.Guard(net, optimizer, out=out)

    def loop() -> None:
        for x, on in guard.batches(batches(bad=bad)):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16) if precision == BRAIN else nullcontext():
                loss = fault.loss(net(x), on)
            loss.backward()
            optimizer.step()

    try:
        loop()
        guard.finish()
    except evenkeel.TrainingStopped:
        assert guard.incident is not None
    return guard.incident


def line_of(mark: str) -> int:
    """The number of the line of the faults that ends with `# origin: MARK`."""
    (found,) = [n for n, text in enumerate(SOURCE.read_text().splitlines(), 1) if text.endswith(f"# origin: {mark}")]
    return found


def test_the_grid_is_whole() -> None:
    """Each fault once, in five models, in both precisions."""
    assert len(FAULTS) == 33
    assert len({fault.cause for fault in FAULTS}) == len(FAULTS)
    assert len(CELLS) == 330


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_named_in_every_model(fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cause, line, phase, step, and which sample of the batch."""
    told: Counter[str] = Counter()
    for _, model, precision in [cell for cell in CELLS if cell[0] is fault]:
        where = f"{model}, {precision}"
        incident = train(fault, model, precision, tmp_path / where, bad=True)
        assert incident is not None, where
        case, cause = incident.case, incident.causes[0]
        told[cause.name] += 1
        assert cause.name == fault.cause, f"{where}: {cause.text}"
        assert (case.step, case.phase, case.reproduced) == (BAD_STEP, fault.phase, True), where
        assert case.origin is not None
        assert case.origin.operation.place is not None
        place = case.origin.operation.place
        assert (Path(place.file), place.line) == (SOURCE, line_of(fault.name)), where
        if fault.is_of_sample:
            assert (case.origin.samples, case.origin.samples_verified) == ((BAD_SAMPLE,), True), where
    assert told == {fault.cause: len(MODELS) * len(fault.precisions)}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_healthy_neighbour_is_silent(fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same loss with every sample switched on."""
    for _, model, precision in [cell for cell in CELLS if cell[0] is fault]:
        assert train(fault, model, precision, tmp_path / f"{model}, {precision}", bad=False) is None
    assert capsys.readouterr() == ("", "")
