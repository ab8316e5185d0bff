"""What can be asked of the program that is run again from its start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from evenkeel.core.attempt import AttemptResult
from evenkeel.core.incident import Incident
from evenkeel.core.patch import PatchedFile, ProofResult
from evenkeel.core.settings import RunSettings
from evenkeel.detect.nonfinite import Sighting
from evenkeel.rerun.attempt import attempted
from evenkeel.rerun.child import Beginning, Children
from evenkeel.rerun.proof import proved
from evenkeel.rerun.retrace import retraced

_QUICK_S = 60.0  # a person waits for several runs
_LONG_S = 600.0  # a person waits for one


class Rerun:
    """Runs the program again in a child process; made before the program starts."""

    def __init__(self, settings: RunSettings) -> None:
        """Note how the program begins."""
        self._children = Children(Beginning.of(settings))

    @property
    def directory(self) -> Path:
        """Where the program was started."""
        return Path(self._children.beginning.cwd)

    @property
    def may_attempt(self) -> bool:
        """Whether several runs are wanted, and take a time for which a person waits."""
        settings = self._children.beginning.settings
        return settings.experiments and settings.policy.name == "stop" and self._so_far_s < _QUICK_S

    def __call__(self, steps: range, seen: Sighting) -> Incident | str:
        """Repeat the one of `steps` in which the symptom arose; or a sentence that says why there is no incident."""
        return retraced(self._children, steps, seen)

    def prove(self, files: Sequence[PatchedFile], step: int) -> ProofResult | str:
        """Run the program with patched files to the step after `step`; or a sentence that says why it did not."""
        settings, so_far_s = self._children.beginning.settings, self._so_far_s
        if settings.policy.name != "stop" and so_far_s > _QUICK_S:
            return "training would have to wait for its proof, a run from the start"
        if not settings.fix_preview and so_far_s > _LONG_S:
            return f"its proof, a run from the start, takes some {so_far_s / 60:.0f} minutes; --fix-preview has it made"
        return proved(self._children, files, step)

    def attempt(self, incident: Incident, position: int) -> AttemptResult | str | None:
        """Run the program with one of `casefile.changes.attempts` in force; None when it met nothing to change."""
        return attempted(self._children, incident, position)

    @property
    def _so_far_s(self) -> float:
        return time.monotonic() - self._children.beginning.monotonic_s
