"""A bad step on one rank is a bad step of all: the same verdict, one incident, and no update anywhere."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

pytestmark = pytest.mark.timeout(180)

Start = Callable[..., Any]  # starts a program of several ranks; see conftest

SCRIPTS = Path(__file__).parent / "scripts"
ORIGIN = re.compile(r"# origin$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A script and the truth about its fault; the line is the one that ends with `# origin`."""

    script: str
    step: int
    rank: int  # on which the bad value was born
    size: int = 2
    sharded: bool = False  # the ranks hold different parts of the parameters
    spreads: bool = True  # the other ranks say that they received it

    def __str__(self) -> str:
        return f"{self.script}-{self.size}"


PLANTED = [
    Planted(script="ddp_nan_one_rank", step=3, rank=1),
    Planted(script="ddp_nan_one_rank", step=3, rank=1, size=4),
    Planted(script="ddp_loss_one_rank", step=5, rank=1, spreads=False),
    Planted(script="ddp_different_batches", step=2, rank=0),
    Planted(script="ddp_unused", step=4, rank=0),
    Planted(script="fsdp2", step=2, rank=1, sharded=True),
    Planted(script="fsdp2", step=2, rank=3, size=4, sharded=True),
    Planted(script="fsdp2_other_shard", step=3, rank=1, sharded=True),
    Planted(script="accumulate_no_sync", step=3, rank=1),
    Planted(script="manual_allreduce", step=2, rank=1, spreads=False),
]
# Their kinds are among the others: four ranks of shards, another collective of the same model, other batches.
LONG = {PLANTED[2], PLANTED[3], PLANTED[6], PLANTED[7]}
OF_TWO = [planted for planted in PLANTED if planted.size == 2]
OTHERS = {"leaver", "guarded", "ddp_join", "rank0_extra", "ending"}  # see test_leaving and test_uneven


def test_every_script_has_its_truth() -> None:
    """No script lies there without being run."""
    assert len(PLANTED) == 10
    assert {planted.script for planted in PLANTED} | OTHERS == {path.stem for path in SCRIPTS.glob("*.py")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What became of a planted fault under `stop`."""

    planted: Planted
    ended: Any
    out: Path


@pytest.fixture(scope="module", params=rows(PLANTED, always=set(PLANTED) - LONG))
def stopped(request: pytest.FixtureRequest, supervised: Start, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """Each script runs once for the tests that look at it."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    ended = supervised(request.param.script, out=out, size=request.param.size)
    return Stopped(planted=request.param, ended=ended, out=out)


def test_all_ranks_stop_at_the_bad_step(stopped: Stopped) -> None:
    """Status 3 on each, and journals that tell the same."""
    planted = stopped.planted
    assert stopped.ended.statuses == (3,) * planted.size, stopped.ended.said
    for rank in range(planted.size):
        events = journal(stopped.out, rank)
        assert [event["n"] for event in events if event["e"] == "step"] == list(range(planted.step))
        assert named_steps(events) == {planted.step}
        assert (events[0]["e"], events[0]["r"]) == ("run", rank)
        assert (events[-1]["e"], events[-1]["n"], events[-1]["s"]) == ("end", planted.step, 3)


def test_no_update_reaches_the_parameters_of_any_rank(stopped: Stopped) -> None:
    """From the last good update to the end nothing changed; replicas are equal."""
    planted = stopped.planted
    updates = stopped.ended.updates()
    for digests in updates:
        assert len(digests) > planted.step, stopped.ended.said
        assert len(set(digests[: planted.step])) == planted.step
        assert set(digests[planted.step :]) == {digests[planted.step - 1]}
    assert len({digests[-1] for digests in updates}) == (planted.size if planted.sharded else 1)


def test_origin_is_named_once_and_the_others_name_its_rank(stopped: Stopped) -> None:
    """One incident, written by the rank on which the value was born; the others say from where it came."""
    planted = stopped.planted
    assert_incident(stopped.out, planted)
    for rank in range(planted.size):
        told = [event for event in journal(stopped.out, rank) if event["e"] == "peer"]
        sentences = [line for line in stopped.ended.stderr[rank].splitlines() if f"rank {planted.rank}" in line]
        if rank == planted.rank:
            assert told == []
        else:
            assert len(told) == 1
            assert len(sentences) == 1, stopped.ended.said


def test_under_torchrun(torchrun: Start, tmp_path: Path) -> None:
    """The launcher ends with 1, as it does when its ranks fail, and names the status 3 of the first."""
    planted = PLANTED[0]
    out = tmp_path / "out"
    ended = torchrun("-m", "evenkeel", "run", "--out", out, f"{planted.script}.py")
    assert ended.statuses == (1,), ended.said
    assert re.search(r"exitcode\s*: 3\b", ended.stderr[0]), ended.said
    assert_incident(out, planted)
    for rank in range(planted.size):
        *_, last = journal(out, rank)
        assert (last["e"], last["n"], last["s"]) == ("end", planted.step, 3)


@pytest.mark.parametrize("planted", rows(OF_TWO, always={PLANTED[0], PLANTED[5]}))
def test_skipped_step_equals_the_step_left_out_by_hand(
    planted: Planted, plain: Start, supervised: Start, tmp_path: Path
) -> None:
    """Parameters, optimizer states and random states of all ranks, to the bit; replicas equal one another."""
    out = tmp_path / "out"
    skipped = supervised(planted.script, "--policy", "skip", "--max-skips", "3", out=out)
    left_out = plain(planted.script, LEAVE_OUT="1")
    assert left_out.statuses == (0, 0), left_out.said
    assert skipped.statuses == (0, 0), skipped.said
    assert skipped.states() == left_out.states()
    if not planted.sharded:
        first, *others = [updates[-1] for updates in skipped.updates()]
        assert others == [first]
    for rank in range(planted.size):
        assert named_steps(journal(out, rank)) == {planted.step}
    assert_incident(out, planted)


def test_comparison_of_skipped_and_left_out_can_fail(plain: Start) -> None:
    """The twin: a healthy step made or left out is told apart."""
    made, left_out = plain("ddp_nan_one_rank", HEALTHY="1"), plain("ddp_nan_one_rank", LEAVE_OUT="1")
    assert made.statuses == left_out.statuses == (0, 0)
    assert [a == b for a, b in zip(made.states(), left_out.states(), strict=True)] == [False, False]


def assert_incident(out: Path, planted: Planted) -> None:
    """There is one, and it tells the truth."""
    assert [path.name for path in out.rglob("incident*.json")] == ["incident.json"]
    incident = json.loads((out / "incident.json").read_text())
    origin = incident["origin"]
    assert {
        "step": incident["step"],
        "rank": incident["rank"],
        "reproduced": incident["reproduced"],
        "received_by": incident["received_by"],
        "file": (SCRIPTS / origin["file"]).resolve(),
        "line": origin["line"],
    } == {
        "step": planted.step,
        "rank": planted.rank,
        "reproduced": True,
        "received_by": [rank for rank in range(planted.size) if rank != planted.rank] if planted.spreads else [],
        "file": SCRIPTS / f"{planted.script}.py",
        "line": marked_line(SCRIPTS / f"{planted.script}.py"),
    }


def named_steps(events: list[dict[str, Any]]) -> set[int]:
    """The steps in which a rank saw something bad itself, or heard of it from another."""
    return {event["n"] for event in events if event["e"] in ("bad", "peer")}


def journal(out: Path, rank: int) -> list[dict[str, Any]]:
    """The events of one rank, as they stand in the file."""
    return [json.loads(line) for line in (out / f"journal-rank{rank}.jsonl").read_text().splitlines()]


def marked_line(path: Path) -> int:
    """The number of the one line that ends with `# origin`."""
    lines = [n for n, line in enumerate(path.read_text().splitlines(), start=1) if ORIGIN.search(line)]
    assert len(lines) == 1, f"{path} marks {len(lines)} lines as the origin"
    return lines[0]
