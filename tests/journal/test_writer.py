"""What was recorded is on the disk, half a second of healthy steps excepted, whatever happens to the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evenkeel.core.events import Event, RunEnded, StepBad, StepDone
from evenkeel.journal.reader import read
from evenkeel.journal.writer import Journal, journal_path

WRITES = """
import os, signal, sys, time
from pathlib import Path
from evenkeel.core.events import StepBad, StepDone
from evenkeel.journal.writer import LONGEST_WAIT_S, Journal
journal = Journal(Path(sys.argv[1]))
for step in range(1000):
    journal.write(StepDone(step=step, loss=step / 7))
    if sys.argv[2] == "slow" and step == 3:
        break
    if sys.argv[2] == "slow":
        time.sleep(LONGEST_WAIT_S)
if sys.argv[2] == "bad":
    journal.write(StepBad(step=1000, kind="loss", name="loss"))
if sys.argv[2] == "forked" and os.fork():
    os.wait()
elif sys.argv[2] == "forked":
    journal.close()
    os._exit(0)
if sys.argv[2] not in ("ends", "forked"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
STEPS = tuple(StepDone(step=step, loss=step / 7) for step in range(1000))


def recorded(tmp_path: Path, how: str, status: int) -> tuple[Event, ...]:
    """What is in the journal of a program that ended like that."""
    path = journal_path(tmp_path)
    ended = subprocess.run([sys.executable, "-c", WRITES, str(path), how], check=False)
    assert ended.returncode == status
    reading = read(path)
    assert reading.unreadable == ()
    return reading.events


def test_sigkill_loses_half_a_second_of_healthy_steps_at_most(tmp_path: Path) -> None:
    """What is there is the beginning."""
    events = recorded(tmp_path, "at once", -signal.SIGKILL)
    assert 1 <= len(events) < len(STEPS)  # a thousand steps take a few milliseconds
    assert events == STEPS[: len(events)]


def test_sigkill_loses_no_slow_step(tmp_path: Path) -> None:
    """Each is written when it is recorded."""
    assert recorded(tmp_path, "slow", -signal.SIGKILL) == STEPS[:4]


def test_sigkill_loses_nothing_after_a_bad_step(tmp_path: Path) -> None:
    """It is written at once, after all that was recorded before."""
    bad = StepBad(step=1000, kind="loss", name="loss")
    assert recorded(tmp_path, "bad", -signal.SIGKILL) == (*STEPS, bad)


def test_journal_that_nobody_closed_is_whole(tmp_path: Path) -> None:
    """When the process ends by itself."""
    assert recorded(tmp_path, "ends", 0) == STEPS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_does_not_write_the_steps_of_its_parent(tmp_path: Path) -> None:
    """Nothing is there twice."""
    assert recorded(tmp_path, "forked", 0) == STEPS


def test_the_name_tells_the_rank(tmp_path: Path) -> None:
    """One file per rank."""
    assert journal_path(tmp_path).name == "journal-rank0.jsonl"
    assert journal_path(tmp_path, rank=3).name == "journal-rank3.jsonl"


def test_a_second_writer_appends(tmp_path: Path) -> None:
    """Nothing that was recorded is ever lost to a new writer."""
    path = journal_path(tmp_path)
    for step in range(2):
        with Journal(path) as journal:
            journal.write(StepDone(step=step, loss=None))
    assert read(path).events == (StepDone(step=0, loss=None), StepDone(step=1, loss=None))


def test_a_torn_line_does_not_swallow_the_next(tmp_path: Path) -> None:
    """A torn line is closed, kept and told; what follows is whole."""
    path = journal_path(tmp_path)
    path.write_text('{"e":"step","n":0,"l":1.0}\n{"e":"st')
    end = RunEnded(num_steps=1, status=0, time_s=1.0)
    with Journal(path) as journal:
        journal.write(end)
    reading = read(path)
    assert reading.events == (StepDone(step=0, loss=1.0), end)
    assert len(reading.unreadable) == 1
    assert reading.unreadable[0].startswith("journal-rank0.jsonl, line 2: no JSON")


def test_closing_twice_is_fine_and_writing_afterwards_is_not(tmp_path: Path) -> None:
    """A closed journal takes no event silently."""
    with Journal(journal_path(tmp_path)) as journal:
        journal.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        journal.write(StepDone(step=0, loss=None))


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """The run's directory is made by others; a journal never makes one up."""
    with pytest.raises(FileNotFoundError):
        Journal(journal_path(tmp_path / "missing"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full device of Linux")
def test_a_full_disk_is_told() -> None:
    """An event that cannot be recorded raises."""
    with Journal(Path("/dev/full")) as journal, pytest.raises(OSError, match="No space left"):
        journal.write(StepDone(step=0, loss=None))
