"""What is known of a loop at its failing step, and of how the step was repeated."""

from __future__ import annotations

from dataclasses import dataclass

from evenkeel.core.fingerprint import Likeness
from evenkeel.detect.nonfinite import Sighting
from evenkeel.locate.modules import Names
from evenkeel.locate.observation import Observation
from evenkeel.step.updater import Updater
from evenkeel.step.window import HandOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known of the loop at its failing step; histories oldest first."""

    step: int  # 0-based count of optimizer.step() calls
    first_unjudged: int  # the first step whose update nobody has looked at since
    names: Names
    hand_outs: tuple[HandOut, ...]
    losses: tuple[float, ...] = ()
    weight_peaks: tuple[float, ...] = ()
    gradient_norms: tuple[float, ...] = ()  # where the loop clips; the failing step's last
    updaters: tuple[Updater, ...] = ()

    @property
    def last_good_state(self) -> int | None:
        """The last step after which all parameters were seen to be finite."""
        return self.first_unjudged - 1 if self.first_unjudged else None

    @property
    def used(self) -> tuple[HandOut, ...]:
        """The batches that a backward followed."""
        return tuple(h for h in self.hand_outs if h.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a bad step was repeated, and what was seen then."""

    how: str
    likeness: Likeness  # of the symptom that came to the one that was to come; "none" where none came
    observed: Observation | None = None
    sighting: Sighting | None = None  # the symptom of the replay, whose tensors the trace knows
    only_compiled: bool = False  # the symptom came again in compiled code, and not without it

    @property
    def reproduced(self) -> bool:
        """Whether the symptom came again."""
        return self.likeness != "none"
