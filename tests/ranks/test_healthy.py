"""While all is well, several ranks end with the same bits, output and status as without evenkeel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

pytestmark = pytest.mark.timeout(180)

Start = Callable[..., Any]  # starts a program of several ranks; see conftest

# script: number of optimizer.step() calls of each rank
NUM_STEPS = {
    "ddp_loss_one_rank": (8, 8),
    "ddp_different_batches": (8, 8),
    "ddp_unused": (6, 6),
    "fsdp2": (6, 6),
    "accumulate_no_sync": (5, 5),
    "manual_allreduce": (8, 8),
    "ddp_join": (6, 8),
    "rank0_extra": (16, 8),
}
# A smaller fsdp2, one that never ends well, a helper; and one that the tests below compare.
LEFT_OUT = {"fsdp2_other_shard", "guarded", "leaver", "ending", "ddp_nan_one_rank"}


def test_every_style_is_compared() -> None:
    """The table names what is run; what is left out is left out by name."""
    present = {path.stem for path in (Path(__file__).parent / "scripts").glob("*.py")}
    assert len(NUM_STEPS) == 8
    assert NUM_STEPS.keys() | LEFT_OUT == present


@pytest.mark.parametrize("script", rows(NUM_STEPS, always={"fsdp2", "ddp_join"}))
def test_every_rank_keeps_every_bit(script: str, plain: Start, supervised: Start, tmp_path: Path) -> None:
    """Parameters, optimizer states, random states, output and status are those of the plain run."""
    out = tmp_path / "out"
    assert_same(script, plain, supervised, out, HEALTHY="1")
    assert_journals(out, NUM_STEPS[script])


def test_program_that_leaves_its_group_to_python(plain: Start, supervised: Start, tmp_path: Path) -> None:
    """Nothing hangs at the end, and the status is the program's own."""
    out = tmp_path / "out"
    assert_same("ddp_nan_one_rank", plain, supervised, out, HEALTHY="1", KEEP_GROUP="1")
    assert_journals(out, (8, 8))


def test_under_torchrun(plain: Start, torchrun: Start, tmp_path: Path) -> None:
    """Started as a command, it ends as the plain program does on each rank."""
    out = tmp_path / "out"
    alone = plain("ddp_nan_one_rank", HEALTHY="1")
    watched = torchrun("--no-python", "evenkeel", "run", "--out", out, "ddp_nan_one_rank.py", HEALTHY="1")
    assert alone.statuses == (0, 0), alone.said
    assert watched.statuses == (0,), watched.said
    for rank in range(2):
        state = f"state{rank}"
        assert (watched.directory / state).read_text() == (alone.directory / state).read_text()
    assert_journals(out, (8, 8))


def assert_same(script: str, plain: Start, supervised: Start, out: Path, **switches: str) -> None:
    """Rank by rank, nothing tells the two runs apart."""
    alone, watched = plain(script, **switches), supervised(script, out=out, **switches)
    assert alone.statuses == (0, 0), alone.said
    assert alone.stderr == ("", "")
    assert watched.statuses == alone.statuses, watched.said
    assert (watched.stdout, watched.stderr) == (alone.stdout, alone.stderr)
    assert watched.states() == alone.states()
    assert watched.updates() == alone.updates()


def assert_journals(out: Path, num_steps: tuple[int, ...]) -> None:
    """There is one for each rank, and nothing else."""
    assert sorted(path.name for path in out.iterdir()) == ["journal-rank0.jsonl", "journal-rank1.jsonl"]
    for rank, expected in enumerate(num_steps):
        assert_journal(out / f"journal-rank{rank}.jsonl", rank, expected)


def assert_journal(path: Path, rank: int, num_steps: int) -> None:
    """One line at the start with the rank, one for each step in order, one at the end."""
    first, *steps, last = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["e"], first["r"]) == ("run", rank)
    assert [(event["e"], event["n"]) for event in steps] == [("step", n) for n in range(num_steps)]
    assert (last["e"], last["n"], last["s"]) == ("end", num_steps, 0)
