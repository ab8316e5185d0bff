"""What a replay says of the captured failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evenkeel.capsule.manifest import Seen
from evenkeel.core.fingerprint import Likeness
from evenkeel.detect.nonfinite import Sighting

Outcome = Literal["same bits", "same but for rounding", "same failure", "another failure", "gone"]
AGAIN: tuple[Outcome, ...] = ("same bits", "same but for rounding")  # the captured step, and no other
BAD: tuple[Outcome, ...] = (*AGAIN, "same failure", "another failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the step went this time."""

    outcome: Outcome
    names: tuple[str, ...] = ()  # of what is bad now
    loss: float | None = None  # of the step, where it is one real number
    changed: str = ""  # what was different, in words; "" for nothing
    took_effect: bool = True  # the step came to what was changed
    notes: tuple[str, ...] = ()  # what of the capsule could not be put in


def outcome_of(seen: Seen, again: Sighting | None, names: Mapping[str, str]) -> Outcome:
    """Compare with what was captured; `names` are the capsule's for those of this run."""
    if again is None:
        return "gone"
    if not seen.is_glimpse and named(again, names) != seen.names:
        return "another failure"
    now = again.of_losses if seen.is_glimpse else again.fingerprint
    return "same failure" if now is None else _BY_LIKENESS[now.likeness(seen.fingerprint)]


_BY_LIKENESS: Mapping[Likeness, Outcome] = {
    "bits": "same bits",
    "rounding": "same but for rounding",
    "none": "same failure",
}


def named(sighting: Sighting, names: Mapping[str, str]) -> tuple[str, ...]:
    """What is bad, under the capsule's names."""
    return tuple(names.get(name, name) for name in sighting.symptom.names)
