"""Unmodified programs of each framework under `evenkeel run`: faults are found, healthy runs stay as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.conftest import Finished, run_python
from tests.tables import rows

for _name in ("lightning", "accelerate", "transformers"):
    pytest.importorskip(_name, reason=f"{_name} is not installed")

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Program:
    """A program of a framework, and where its fault shows."""

    script: str
    step: int  # of the bad sample; faults of the format show at once
    sample: int  # in the data set
    batch_size: int

    def __str__(self) -> str:
        return self.script


PROGRAMS = (
    Program("lightning_images", step=6, sample=53, batch_size=8),
    Program("transformers_text", step=5, sample=37, batch_size=8),
    Program("accelerate_vae", step=5, sample=45, batch_size=10),
)
FAMILY = {"forward": "domain", "backward": "gradient_singularity", "data": "data", "half": "range"}
ROWS = [
    pytest.param(program, fault, id=f"{program.script}-{fault}", marks=[] if is_always else [pytest.mark.long])
    for program in PROGRAMS
    for fault in FAMILY
    for is_always in (fault == "forward" or (fault == "backward" and program.script == "transformers_text"),)
]


def run(program: Program, out: Path | None, *options: str, **environment: str) -> Finished:
    """Start it, under `evenkeel run` where there is a directory to write to."""
    script = f"{program.script}.py"
    written = (out.parent if out else SCRIPTS.parent) / "trainer"
    if out is None:
        return run_python(script, "/nonexistent", cwd=SCRIPTS, **environment)
    head = ("-m", "evenkeel", "run", "--no-experiments", *options, "--out", out)
    return run_python(*head, script, written, cwd=SCRIPTS, **environment)


def incident_in(out: Path) -> dict[str, Any]:
    """What was written."""
    told: dict[str, Any] = json.loads((out / "incident.json").read_text())
    return told


def line_of(program: Program, fault: str) -> int | None:
    """The line that is marked as the origin of a fault; None where nothing is marked."""
    lines = (SCRIPTS / f"{program.script}.py").read_text().splitlines()
    return next((n for n, line in enumerate(lines, 1) if line.endswith(f"# origin: {fault}")), None)


def test_every_program_is_known() -> None:
    """Each with four faults."""
    assert len(ROWS) == 12
    assert {p.script for p in PROGRAMS} < {path.stem for path in SCRIPTS.glob("*.py")}  # the others: further programs


@pytest.mark.parametrize(("program", "fault"), ROWS)
def test_fault_is_found(program: Program, fault: str, tmp_path: Path) -> None:
    """Stopped with status 3 at the right step, replayed in the loop itself; line, cause and sample are right."""
    done = run(program, tmp_path / "out", FAULT=fault)
    assert done.status == 3, done.said
    told = incident_in(tmp_path / "out")
    origin, line = told["origin"], line_of(program, fault)
    assert told["step"] == (0 if fault == "half" else program.step)
    assert told["reproduced"]
    assert told["how_replayed"].startswith("in process")
    assert told["cause"]["family"] == FAMILY[fault]
    assert ("logging_nan_inf_filter" in done.said) is (program.script == "transformers_text")
    if line is not None:
        assert (Path(origin["file"]).name, origin["line"]) == (f"{program.script}.py", line)
    if fault != "half":
        assert len(origin["samples"]) == 1
        assert origin["dataset_indices"] == [program.sample]


def untimed(done: Finished) -> list[bytes]:
    """What a program printed, without how long it took."""
    return [line for line in done.stdout.splitlines() if b"train_runtime" not in line]


@pytest.mark.parametrize("program", rows(PROGRAMS, always=PROGRAMS[:2]))
def test_healthy_run_says_the_same(program: Program, tmp_path: Path) -> None:
    """Every bit of the losses and parameters that it prints, and its status."""
    alone, watched = run(program, None), run(program, tmp_path / "out")
    assert (alone.status, watched.status) == (0, 0), watched.said
    assert alone.stdout.splitlines()[-1].startswith(b"trained")
    assert untimed(watched) == untimed(alone)
    assert not (tmp_path / "out" / "incident.json").exists()


@pytest.mark.parametrize("program", rows(PROGRAMS, always={PROGRAMS[0]}))
def test_bad_steps_are_skipped(program: Program, tmp_path: Path) -> None:
    """The run ends as it would, and each bad step has its report."""
    done = run(program, tmp_path / "out", "--policy", "skip", FAULT="forward")
    assert done.status == 0, done.said
    assert b"nan" not in done.stdout.splitlines()[-1]
    told = incident_in(tmp_path / "out")
    assert told["step"] == program.step


@pytest.mark.parametrize("program", rows(PROGRAMS[1:], always={PROGRAMS[2]}))
def test_accumulated_steps_name_their_batch(program: Program, tmp_path: Path) -> None:
    """Two batches a step: the one of the bad sample is told."""
    done = run(program, tmp_path / "out", FAULT="forward", ACCUMULATE="2")
    assert done.status == 3, done.said
    told = incident_in(tmp_path / "out")
    assert (told["step"], told["origin"]["micro_batch"]) == divmod(program.step, 2)
    assert told["origin"]["dataset_indices"] == [program.sample]


def test_ranks_that_lightning_starts_are_supervised_too(tmp_path: Path) -> None:
    """Two devices, started by the Trainer itself: one verdict, one report, and a journal for each rank."""
    out = tmp_path / "out"
    done = run(PROGRAMS[0], out, FAULT="forward", DEVICES="2", STRATEGY="ddp")
    assert done.status == 3, done.said
    told = incident_in(out)
    assert told["origin"]["dataset_indices"] == [53]
    assert {path.name for path in out.glob("journal-*")} == {"journal-rank0.jsonl", "journal-rank1.jsonl"}
