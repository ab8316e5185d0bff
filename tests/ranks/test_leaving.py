"""A rank that leaves on its own does not make the others wait, and says why itself."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)

Start = Callable[..., Any]  # starts a program of several ranks; see conftest


@pytest.mark.parametrize(("leaves", "status"), [("raises", 1), ("killed", -signal.SIGKILL)])
def test_other_rank_ends_too(leaves: str, status: int, supervised: Start, tmp_path: Path) -> None:
    """With a status that is neither success nor an incident; the journals hold the steps that were made.

    A rank that is killed takes half a second of its healthy steps with it.
    """
    out = tmp_path / "out"
    ended = supervised("leaver", out=out, LEAVES=leaves)
    assert ended.statuses[1] == status, ended.said
    assert ended.statuses[0] not in (None, 0, 3), ended.said
    assert not (out / "incident.json").exists()
    for rank in range(2):
        events = [json.loads(line) for line in (out / f"journal-rank{rank}.jsonl").read_text().splitlines()]
        is_whole = rank == 0 or leaves == "raises"
        steps = [event["n"] for event in events if event["e"] == "step"]
        assert steps == list(range(3 if is_whole else len(steps)))
        assert len(steps) > 0
        assert (events[-1]["e"] == "end") == is_whole
    if leaves == "raises":
        assert "ValueError: rank 1 cannot read its data" in ended.stderr[1]
        assert "evenkeel" not in ended.stderr[1].replace(str(Path(__file__).parent), "")


def test_under_torchrun(torchrun: Start, tmp_path: Path) -> None:
    """The launcher sees the rank that failed first, names its status, and ends."""
    command = ("-m", "evenkeel", "run", "--out", tmp_path / "out", "leaver.py")
    ended = torchrun(*command, LEAVES="raises")
    assert ended.statuses == (1,), ended.said
    assert "ValueError: rank 1 cannot read its data" in ended.stderr[0]
    assert not (tmp_path / "out" / "incident.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_nothing_of_ours_runs_when_python_ends(ranks: Start) -> None:
    """A thread of gloo that lets go of a tensor then would end the process with SIGABRT in place of its status."""
    ended = ranks("guarded.py")
    assert ended.statuses == (3, 3), ended.said
    assert (ended.directory / "evenkeel" / "incident.json").is_file()
    left = [(ended.directory / f"threads{rank}").read_text() for rank in range(2)]
    assert left == ["2", "2"]  # of the program's own group, which it did not destroy
