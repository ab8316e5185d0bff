"""The user's own lines around a place."""

from __future__ import annotations

import linecache
import textwrap
from dataclasses import dataclass

from evenkeel.core.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """One line of a file; `marked` when it is the one that is meant."""

    number: int
    text: str
    marked: bool


def excerpt(place: Place, context: int = 3) -> tuple[SourceLine, ...]:
    """The line with `context` lines around it; the line alone when the file is gone or has changed since."""
    linecache.checkcache(place.file)
    lines = linecache.getlines(place.file)
    is_same = place.line <= len(lines) and lines[place.line - 1].strip() == place.source.strip()
    if not is_same:
        return (SourceLine(number=place.line, text=place.source, marked=True),) if place.source else ()
    first = max(place.line - context, 1)
    chosen = [line.rstrip().expandtabs(4) for line in lines[first - 1 : place.line + context]]
    numbered = list(enumerate(textwrap.dedent("\n".join(chosen)).split("\n"), start=first))
    filled = [number for number, text in numbered if text]
    return tuple(
        SourceLine(number=number, text=text, marked=number == place.line)
        for number, text in numbered
        if filled[0] <= number <= filled[-1]  # no empty lines at the ends
    )
