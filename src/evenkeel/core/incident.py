"""The case file: everything known about one failing step."""

from __future__ import annotations

from dataclasses import dataclass

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do, and what it was verified by (None: not tried)."""

    text: str
    verified_by: str | None = None
    diff: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One replay with exactly one thing changed."""

    name: str
    changed: str
    healthy: bool
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A failing step: measured (`case`), explained (`causes`, best first), and what follows from it."""

    case: Case
    rank: int = 0  # where the bad value was born
    received_by: tuple[int, ...] = ()  # the ranks to which it came from there
    causes: tuple[Cause, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    advice: tuple[Advice, ...] = ()
    command: str = ""  # how the run was started
    how_replayed: str = ""  # "in process", "in a child process", or why neither worked
    environment: tuple[tuple[str, str], ...] = ()  # versions that matter
    capsule: str | None = None
    capsule_bytes: int | None = None
    report: str | None = None
    patch: str | None = None  # the diff of the advice as a file of its own
