"""What the journal records: one small frozen value per event."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """Supervision began."""

    command: str
    time_s: float  # seconds since the epoch
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """A healthy step: its 0-based count and the loss, None when it was not read."""

    step: int
    loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBad:
    """A step whose update was withheld, and what was bad in it."""

    step: int
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A replay of a bad step came to an end."""

    step: int
    how: str
    reproduced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """A bad step was left out; `num_skipped` counts those of this run, this one included."""

    step: int
    num_skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRefused:
    """A gradient scaler made no update and lowers its scale to `scale`: healthy, unless it goes on."""

    step: int
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerBad:
    """A step was bad because of another rank."""

    step: int
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The program came to its end."""

    num_steps: int
    status: int
    time_s: float


Event = RunStarted | StepDone | StepBad | Replayed | StepSkipped | UpdateRefused | PeerBad | RunEnded
