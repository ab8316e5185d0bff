"""Ranks that do not make the same updates: nobody waits for a verdict that the others do not give."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)

Start = Callable[..., Any]  # starts a program of several ranks; see conftest


def test_bad_step_while_all_ranks_train_under_join(supervised: Start, tmp_path: Path) -> None:
    """The gradients are bad on all of them, so each stops by itself."""
    ended = supervised("ddp_join", out=tmp_path / "out")
    assert ended.statuses == (3, 3), ended.said
    assert bad_steps(tmp_path / "out") == [[3], [3]]


def test_bad_step_of_the_shared_model(supervised: Start, tmp_path: Path) -> None:
    """The verdict is common, although rank 0 counts the updates of its probe too."""
    out = tmp_path / "out"
    ended = supervised("rank0_extra", out=out, FAULT="model")
    assert ended.statuses == (3, 3), ended.said
    assert bad_steps(out) == [[6], [3]]
    assert origin(out) == (1, "# origin of FAULT=model")


def test_bad_step_of_one_rank_by_itself(supervised: Start, tmp_path: Path) -> None:
    """It stops, and the other one ends because it is gone."""
    out = tmp_path / "out"
    ended = supervised("rank0_extra", out=out, FAULT="probe")
    assert ended.statuses[0] == 3, ended.said
    assert ended.statuses[1] not in (None, 0), ended.said
    assert bad_steps(out) == [[7], []]
    assert origin(out) == (0, "# origin of FAULT=probe")


def bad_steps(out: Path) -> list[list[int]]:
    """By rank, the steps that its journal calls bad."""
    journals = [(out / f"journal-rank{rank}.jsonl").read_text().splitlines() for rank in range(2)]
    return [[event["n"] for event in map(json.loads, lines) if event["e"] == "bad"] for lines in journals]


def origin(out: Path) -> tuple[int, str]:
    """The rank of the incident, and the comment at the end of the line that it names."""
    incident = json.loads((out / "incident.json").read_text())
    script = Path(__file__).parent / "scripts" / "rank0_extra.py"
    line = script.read_text().splitlines()[incident["origin"]["line"] - 1]
    return incident["rank"], line[line.index("#") :]
