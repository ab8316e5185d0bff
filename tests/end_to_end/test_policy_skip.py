"""Policy skip: the run ends with the bits of the run in which the bad batches were left out by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

from evenkeel.core.events import RunEnded
from evenkeel.journal.reader import read

Start = Callable[..., Any]  # starts a program; see conftest

OPTIMIZERS = ("adam", "adamw_fused", "sgd_foreach", "sign_descent")
BAD_STEPS = (4, 9)


def test_every_kind_of_optimizer_is_skipped() -> None:
    """One that torch skips on the device, loops over parameters, lists of tensors, and one of somebody else."""
    assert len(OPTIMIZERS) == 4


@pytest.mark.parametrize("optimizer", rows(OPTIMIZERS, always=set(OPTIMIZERS) - {"sgd_foreach"}))
def test_skipped_step_leaves_nothing_behind(optimizer: str, plain: Start, supervised: Start, tmp_path: Path) -> None:
    """Parameters, moments, step counts, running statistics, schedule, average and random states are all alike."""
    out = tmp_path / "out"
    by_hand = plain("skipped.py", tmp_path / "by_hand", OPTIMIZER=optimizer, LEAVE_OUT="1")
    done = supervised(*skipping(3), tmp_path / "watched", out=out, OPTIMIZER=optimizer)
    assert (by_hand.status, done.status) == (0, 0), done.said
    assert final_state(tmp_path / "watched") == final_state(tmp_path / "by_hand")
    assert written(out) == [(BAD_STEPS[0], True)]


def test_experiments_leave_nothing_behind_either(plain: Start, with_experiments: Start, tmp_path: Path) -> None:
    """Trials that make an update and take it back: the bits of the run that left the batch out by hand."""
    out = tmp_path / "out"
    by_hand = plain("skipped.py", tmp_path / "by_hand", OPTIMIZER="adam", LEAVE_OUT="1")
    done = with_experiments(*skipping(3), tmp_path / "watched", out=out, OPTIMIZER="adam")
    assert (by_hand.status, done.status) == (0, 0), done.said
    assert final_state(tmp_path / "watched") == final_state(tmp_path / "by_hand")
    told = json.loads((out / "incident.json").read_text())
    assert any(tried["healthy"] for tried in told["experiments"])


def test_two_skipped_steps(plain: Start, supervised: Start, tmp_path: Path) -> None:
    """The second incident is written beside the first, and each counts one step."""
    out = tmp_path / "out"
    assert plain("skipped.py", tmp_path / "by_hand", SECOND="1", LEAVE_OUT="1").status == 0
    done = supervised(*skipping(2), tmp_path / "watched", out=out, SECOND="1")
    assert done.status == 0, done.said
    assert final_state(tmp_path / "watched") == final_state(tmp_path / "by_hand")
    assert written(out) == [(step, True) for step in BAD_STEPS]


def test_no_more_than_allowed_are_skipped(supervised: Start, tmp_path: Path) -> None:
    """With one skip allowed, the second bad step stops the program."""
    out = tmp_path / "out"
    done = supervised(*skipping(1), tmp_path / "watched", out=out, SECOND="1")
    assert done.status == 3, done.said
    assert not (tmp_path / "watched").exists()
    assert written(out) == [(step, True) for step in BAD_STEPS]


@pytest.mark.parametrize("optimizer", rows(OPTIMIZERS, always={"adamw_fused"}))
def test_healthy_run_keeps_every_bit(optimizer: str, plain: Start, supervised: Start, tmp_path: Path) -> None:
    """While nothing fails, allowing skips changes nothing, and nothing is printed."""
    out = tmp_path / "out"
    alone = plain("skipped.py", tmp_path / "alone", OPTIMIZER=optimizer, HEALTHY="1")
    watched = supervised(*skipping(3), tmp_path / "watched", out=out, OPTIMIZER=optimizer, HEALTHY="1")
    assert alone.status == 0, alone.said
    assert watched == alone, watched.said
    assert final_state(tmp_path / "watched") == final_state(tmp_path / "alone")
    assert written(out) == []
    last = read(out / "journal-rank0.jsonl").events[-1]
    assert isinstance(last, RunEnded)
    assert (last.num_steps, last.status) == (14, 0)


def test_the_comparison_can_fail(plain: Start, tmp_path: Path) -> None:
    """A healthy run, one with batches left out and one that went bad end with different bits."""
    for name, extra in (("healthy", {"HEALTHY": "1"}), ("by_hand", {"LEAVE_OUT": "1"}), ("bad", {})):
        assert plain("skipped.py", tmp_path / name, **extra).status == 0
    ends = [tuple(final_state(tmp_path / name)) for name in ("healthy", "by_hand", "bad")]
    assert len(set(ends)) == 3


def skipping(at_most: int) -> tuple[str, ...]:
    """The arguments that allow so many skips."""
    return ("--policy", "skip", "--max-skips", str(at_most), "skipped.py")


def final_state(path: Path) -> list[str]:
    """The lines `name digest` that a script ended with."""
    lines = path.read_text().splitlines()
    assert len(lines) > 5, f"{path} holds no final state"
    return lines


def written(out: Path) -> list[tuple[int, bool]]:
    """(step, whether it was reproduced) of the first incident and of those under incidents/."""
    first, *others = [out / "incident.json", *sorted((out / "incidents").glob("*/incident.json"))]
    incidents = [json.loads(path.read_text()) for path in (first, *others) if path.exists()]
    return [(incident["step"], incident["reproduced"]) for incident in incidents]
