"""Policy observe: one incident is written, and the run goes on as if nobody had looked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

Start = Callable[..., Any]  # starts a program; see conftest

# script: the failing step
OBSERVED = {
    "loader_shuffled": 5,
    "full_batch": 2,  # recovers: its gradient is finite
    "gan_generator": 7,
    "scheduler": 6,
    "last_step": 5,
    "own_optimizer": 3,
    "array_slices": 3,
}


def test_every_way_of_replaying_is_observed() -> None:
    """Loops with a loader, without one, and updates that are at fault themselves."""
    assert len(OBSERVED) == 7


@pytest.mark.parametrize("script", rows(OBSERVED, always={"gan_generator", "own_optimizer", "array_slices"}))
def test_observed_run_ends_as_the_plain_one(script: str, plain: Start, supervised: Start, tmp_path: Path) -> None:
    """Parameters, optimizer state and random states at the end are the same to the bit, NaN included."""
    out = tmp_path / "out"
    alone = plain(f"{script}.py", tmp_path / "alone")
    watched = supervised("--policy", "observe", f"{script}.py", tmp_path / "watched", out=out)
    assert (alone.status, watched.status) == (0, 0), watched.said
    incident = json.loads((out / "incident.json").read_text())
    assert (incident["step"], incident["reproduced"]) == (OBSERVED[script], True)
    assert sorted(path.name for path in out.rglob("incident.json") if "rerun" not in path.parts) == ["incident.json"]
    final = (tmp_path / "alone").read_text().splitlines()
    assert len(final) > 5
    assert (tmp_path / "watched").read_text().splitlines() == final
