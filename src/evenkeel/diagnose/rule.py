"""What every cause offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family

Judge = Callable[[Case], Cause | None]

HEADINGS = ("What you see:", "Why:", "Bad:", "Good:", "Not this:", "Source:")


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseRule:
    """One cause as its file defines it. `judge` answers None where the cause does not apply."""

    code: str  # "EK201"
    name: str  # the file's name
    family: Family  # of the causes that `judge` returns; `unexplained` alone chooses by the phase
    judge: Judge
    page: str  # the manual page: the file's docstring, with the headings above
