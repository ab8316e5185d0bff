"""A journal can be read at any moment, and what cannot be read is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenkeel.core.events import StepDone
from evenkeel.journal.codec import encode
from evenkeel.journal.reader import read

LINE = encode(StepDone(step=0, loss=0.5))


@pytest.mark.parametrize("kept", range(1, len(LINE)))
def test_a_last_line_cut_anywhere_is_told(tmp_path: Path, kept: int) -> None:
    """The event before it is there, the cut one is neither invented nor passed over."""
    path = tmp_path / "journal-rank0.jsonl"
    path.write_text(f"{LINE}\n{LINE[:kept]}")
    reading = read(path)
    assert reading.events == (StepDone(step=0, loss=0.5),)
    assert len(reading.unreadable) == 1
    assert reading.unreadable[0].startswith("journal-rank0.jsonl, line 2, the last, cut off in the middle: no JSON")


def test_a_last_line_that_lacks_only_its_newline_is_whole(tmp_path: Path) -> None:
    """The event is complete."""
    path = tmp_path / "journal"
    path.write_text(LINE)
    assert read(path).events == (StepDone(step=0, loss=0.5),)


def test_every_unreadable_line_is_told_with_its_number(tmp_path: Path) -> None:
    """Unknown kinds, bytes that are no text, empty lines."""
    path = tmp_path / "journal"
    path.write_bytes(b"\xff\xfe\n" + LINE.encode() + b'\n{"e":"leap"}\n\n')
    reading = read(path)
    assert len(reading.events) == 1
    assert [text.split(":")[0] for text in reading.unreadable] == [
        "journal, line 1",
        "journal, line 3",
        "journal, line 4",
    ]


def test_an_empty_journal_has_no_events(tmp_path: Path) -> None:
    """A run that was killed before its first event."""
    path = tmp_path / "journal"
    path.touch()
    assert read(path).events == ()
    assert read(path).unreadable == ()


def test_a_missing_journal_is_an_error(tmp_path: Path) -> None:
    """No file is not an empty run."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "journal")
