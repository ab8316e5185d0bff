"""Appends events to a journal."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import final

from evenkeel.core.events import Event
from evenkeel.journal.codec import encode


def journal_path(directory: Path, rank: int = 0) -> Path:
    """Where the journal of one rank lies in the directory of a run."""
    return directory / f"journal-rank{rank}.jsonl"


@final
class Journal:
    """An open journal file; the parent directory must exist.

    Each event is one unbuffered write at the end of the file, so a killed process loses nothing that was
    recorded. A line that an earlier writer left torn is closed first and kept.

    Example:
        with Journal(journal_path(out)) as journal:
            journal.write(StepDone(step=0, loss=0.7))
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._append(b"\n")

    def write(self, event: Event) -> None:
        """Record one event.

        Raises:
            OSError: the file cannot be written to, for instance because the disk is full.
        """
        self._append(encode(event).encode() + b"\n")

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        num_written = os.write(self._descriptor, line)
        if num_written != len(line):
            raise OSError(
                f"{self.path}: only {num_written} of {len(line)} bytes of an event could be written; "
                "make room on the disk"
            )
