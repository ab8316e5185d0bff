"""Long runs: memory stays flat, the journal within its budget, nothing is reported twice or for nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenkeel.core.events import StepBad, StepDone, StepSkipped
from evenkeel.journal.reader import read

Start = Callable[..., Any]  # starts a program; see conftest

BYTES_A_STEP = 200


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(300)
def test_healthy_soak_keeps_memory_and_journal_small(supervised: Start, tmp_path: Path) -> None:
    """20,000 steps: resident memory grows by less than 1 % after the first 2,000, and nobody raises an alarm."""
    out, num_steps = tmp_path / "out", 20_000
    done = supervised("soak/steps.py", str(num_steps), "0", out=out)
    assert (done.status, done.stderr) == (0, b"")
    memory = {name: int(pages) for name, pages in (line.split() for line in done.stdout.decode().splitlines())}
    assert memory["end"] <= 1.01 * memory["begin"]
    journal = out / "journal-rank0.jsonl"
    assert journal.stat().st_size <= BYTES_A_STEP * num_steps
    events = read(journal).events
    assert [event.step for event in events if isinstance(event, StepDone)] == list(range(num_steps))
    assert sorted(path.name for path in out.iterdir()) == ["journal-rank0.jsonl"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_fault_of_a_soak_is_counted_once(supervised: Start, tmp_path: Path) -> None:
    """2,000 steps, 20 of them bad, under skip: as many incidents, each of a step of its own, all at the same line."""
    out, num_steps, num_faults = tmp_path / "out", 2_000, 20
    done = supervised(
        "--policy", "skip", "--max-skips", "50", "soak/steps.py", str(num_steps), str(num_faults), out=out
    )
    assert done.status == 0, done.said
    events = read(out / "journal-rank0.jsonl").events
    skipped = [event for event in events if isinstance(event, StepSkipped)]
    assert [event.num_skipped for event in skipped] == list(range(1, num_faults + 1))
    bad = [event.step for event in events if isinstance(event, StepBad)]
    assert bad == [event.step for event in skipped]
    assert len(set(bad)) == num_faults
    healthy = [event.step for event in events if isinstance(event, StepDone)]
    assert sorted([*healthy, *bad]) == list(range(num_steps))
    incidents = [out, *(out / "incidents" / str(n) for n in range(2, num_faults + 1))]
    assert all((directory / "incident.json").exists() for directory in incidents)
    assert len(list((out / "incidents").iterdir())) == num_faults - 1
