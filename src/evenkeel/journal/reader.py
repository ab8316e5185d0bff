"""Reads a journal, also one whose program was killed or is still running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evenkeel.core.events import Event
from evenkeel.journal.codec import UnreadableLine, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The events of a journal in order, and a sentence for each line that could not be read."""

    events: tuple[Event, ...]
    unreadable: tuple[str, ...] = ()


def read(path: Path) -> Reading:
    """Everything that the journal at `path` holds.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    *lines, rest = path.read_bytes().split(b"\n")  # every whole line ends with a newline
    events: list[Event] = []
    unreadable: list[str] = []
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        found = _event_or_error(line)
        if isinstance(found, UnreadableLine):
            cut_off = ", the last, cut off in the middle" if number > len(lines) else ""
            unreadable.append(f"{path.name}, line {number}{cut_off}: {found}")
        else:
            events.append(found)
    return Reading(events=tuple(events), unreadable=tuple(unreadable))


def _event_or_error(line: bytes) -> Event | UnreadableLine:
    try:
        return decode(line.decode("utf-8", errors="backslashreplace"))
    except UnreadableLine as error:
        return error
