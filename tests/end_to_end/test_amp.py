"""A GradScaler that backs off is healthy; one whose scale falls in vain is a finding, and so is a bad loss.

That the faults are located, and that healthy runs keep their bits, is in the tables of `test_planted_faults` and
`test_healthy_runs`; here is where the line between healthy and not lies.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

from evenkeel.core.events import RunEnded, StepDone
from evenkeel.journal.reader import read

Start = Callable[..., Any]  # starts a program; see conftest

SCRIPTS = {"amp_backoff", "amp_forward_overflow", "amp_fused", "amp_thrash", "amp_unscale_clip"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many steps in a row a scaler may leave out before it is a finding."""

    script: str
    allowed: int  # one more is a finding
    num_steps: int  # calls of optimizer.step() when so many are left out
    family: str

    def __str__(self) -> str:
        return self.script


LIMITS = [
    Limit(script="amp_thrash", allowed=10, num_steps=20, family="gradient_singularity"),  # 1024 falls to 1, not below
    Limit(script="amp_unscale_clip", allowed=19, num_steps=11, family="gradient_singularity"),  # the 20th in a row
]


def limits(always: str) -> list[Any]:
    """Every row under the name of its script, one of them in every run of the tests."""
    return rows(LIMITS, always=[limit for limit in LIMITS if limit.script == always])


def test_every_script_is_known(scripts: Path) -> None:
    """Those with a scaler are the ones named here, and both limits are tried."""
    assert len(SCRIPTS) == 5
    assert {path.stem for path in scripts.glob("amp_*.py")} == SCRIPTS
    assert len(LIMITS) == 2


@pytest.mark.parametrize("limit", limits("amp_unscale_clip"))
def test_scaler_within_its_limits_is_left_alone(limit: Limit, plain: Start, supervised: Start, tmp_path: Path) -> None:
    """Bits, output and status are those of the plain run, although gradients overflowed."""
    out, bad = tmp_path / "out", str(limit.allowed)
    alone = plain(f"{limit.script}.py", tmp_path / "alone", BAD_BATCHES=bad)
    watched = supervised(f"{limit.script}.py", tmp_path / "watched", out=out, BAD_BATCHES=bad)
    assert (alone.status, alone.stderr) == (0, b"")
    assert watched == alone, watched.said
    assert (tmp_path / "watched").read_text().splitlines() == (tmp_path / "alone").read_text().splitlines()
    assert not (out / "incident.json").exists()
    last = read(out / "journal-rank0.jsonl").events[-1]
    assert isinstance(last, RunEnded)
    assert (last.num_steps, last.status) == (limit.num_steps, 0)


@pytest.mark.parametrize("limit", limits("amp_thrash"))
def test_scaler_beyond_its_limit_is_a_finding(limit: Limit, supervised: Start, tmp_path: Path) -> None:
    """One step more, and the gradients are explained: no scale would have helped."""
    out = tmp_path / "out"
    done = supervised(f"{limit.script}.py", out=out, BAD_BATCHES=str(limit.allowed + 1))
    assert done.status == 3, done.said
    incident = json.loads((out / "incident.json").read_text())
    assert (incident["symptom"]["kind"], incident["phase"]) == ("gradient", "backward")
    assert incident["reproduced"]
    assert limit.family in {cause["family"] for cause in incident["causes"]}


@pytest.mark.parametrize("script", rows(["amp_backoff", "amp_fused", "amp_thrash"], always={"amp_fused"}))
def test_observed_run_ends_as_the_plain_one(script: str, plain: Start, supervised: Start, tmp_path: Path) -> None:
    """Scale, growth tracker, moments and parameters are the same to the bit: the scaler is left to its work."""
    out = tmp_path / "out"
    alone = plain(f"{script}.py", tmp_path / "alone")
    watched = supervised("--policy", "observe", f"{script}.py", tmp_path / "watched", out=out)
    assert (alone.status, watched.status) == (0, 0), watched.said
    assert (tmp_path / "watched").read_text().splitlines() == (tmp_path / "alone").read_text().splitlines()
    assert json.loads((out / "incident.json").read_text())["reproduced"]


def test_skipped_step_is_none_to_the_scaler(plain: Start, supervised: Start, tmp_path: Path) -> None:
    """The scale does not fall for a batch that is left out, by hand or by evenkeel."""
    script, out = "amp_forward_overflow.py", tmp_path / "out"
    by_hand = plain(script, tmp_path / "by_hand", LEAVE_OUT="1")
    done = supervised("--policy", "skip", "--max-skips", "1", script, tmp_path / "watched", out=out)
    assert (by_hand.status, done.status) == (0, 0), done.said
    assert (tmp_path / "watched").read_text().splitlines() == (tmp_path / "by_hand").read_text().splitlines()
    assert json.loads((out / "incident.json").read_text())["step"] == 6


def test_the_journal_holds_the_loss_before_scaling(supervised: Start, tmp_path: Path) -> None:
    """What is written is what the program prints, not that times the scale."""
    out = tmp_path / "out"
    done = supervised("amp_forward_overflow.py", out=out, HEALTHY="1")
    printed = [float(line.split()[1]) for line in done.stdout.decode().splitlines()]
    assert len(printed) == 10
    events = read(out / "journal-rank0.jsonl").events
    assert [event.loss for event in events if isinstance(event, StepDone)] == printed
