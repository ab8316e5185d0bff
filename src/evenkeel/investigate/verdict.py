"""What a replay says of the captured failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from evenkeel.capsule.manifest import Seen
from evenkeel.core.fingerprint import Fingerprint
from evenkeel.detect.nonfinite import Sighting

Outcome = Literal["same bits", "same failure", "another failure", "gone"]


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
    if seen.is_glimpse:
        return "same bits" if _has_bits(again.of_losses, seen.fingerprint) else "same failure"
    if named(again, names) != seen.names:
        return "another failure"
    return "same bits" if _has_bits(again.fingerprint, seen.fingerprint) else "same failure"


def _has_bits(now: Fingerprint | None, then: Fingerprint) -> bool:
    return now is not None and now.likeness(then) == "bits"


def named(sighting: Sighting, names: Mapping[str, str]) -> tuple[str, ...]:
    """What is bad, under the capsule's names."""
    return tuple(names.get(name, name) for name in sighting.symptom.names)
