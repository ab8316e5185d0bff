"""What was recorded is on the disk at once, whatever happens to the program."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evenkeel.core.events import RunEnded, StepDone
from evenkeel.journal.reader import read
from evenkeel.journal.writer import Journal, journal_path

KILLED = """
import os, signal, sys
from pathlib import Path
from evenkeel.core.events import StepDone
from evenkeel.journal.writer import Journal
journal = Journal(Path(sys.argv[1]))
for step in range(1000):
    journal.write(StepDone(step=step, loss=step / 7))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_sigkill_loses_nothing(tmp_path: Path) -> None:
    """Every event that `write` returned from is there."""
    path = journal_path(tmp_path)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    reading = read(path)
    assert reading.events == tuple(StepDone(step=step, loss=step / 7) for step in range(1000))
    assert reading.unreadable == ()


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
