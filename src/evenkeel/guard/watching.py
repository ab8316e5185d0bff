"""The ordinary state of a guard: judge each step, let the healthy ones pass."""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer

from evenkeel.core.events import StepBad, StepDone
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.loop import Loop
from evenkeel.journal.writer import Journal
from evenkeel.step.replay import Withheld

Found = Callable[[Sighting, Optimizer], None]


class Watching:
    """Judges losses, gradients and buffers before each update, and the parameters after it.

    A bad step's update is withheld, then `found` is told. An update that was itself at fault has been made by the
    time it is seen; `born_in_update` is told instead.
    """

    def __init__(
        self, loop: Loop, journal: Journal, found: Found, born_in_update: Found, goes_on: Callable[[], bool]
    ) -> None:
        """Watch `loop`, writing each step to the journal."""
        self._loop = loop
        self._journal = journal
        self._found = found
        self._born_in_update = born_in_update
        self._goes_on = goes_on  # the update is made although it is bad
        self._sighting: Sighting | None = None
        self._withheld: Withheld | None = None

    def before_update(self, optimizer: Optimizer) -> None:
        """Judge the step that is about to be applied."""
        self._sighting = self._loop.judge(optimizer)
        if self._sighting is not None and self._goes_on():
            self._found(self._sighting, optimizer)
        elif self._sighting is not None:
            self._withheld = Withheld(optimizer)

    def after_update(self, optimizer: Optimizer) -> None:
        """Judge what the update made, or report what was withheld."""
        if self._withheld is not None and self._sighting is not None:
            self._withheld.release()
            self._withheld = None
            self._found(self._sighting, optimizer)
            return
        made = self._loop.judge_update(optimizer)
        if made is not None:
            self._born_in_update(made, optimizer)
        step = self._loop.step
        self._journal.write(StepDone(step=step, loss=self._loop.close_step(optimizer)))


class Noting:
    """After the first incident under `observe`: bad steps are written to the journal and nothing else is done."""

    def __init__(self, loop: Loop, journal: Journal) -> None:
        """Note the steps of `loop`."""
        self._loop = loop
        self._journal = journal

    def before_update(self, optimizer: Optimizer) -> None:
        """Note a bad step."""
        sighting = self._loop.judge(optimizer)
        if sighting is not None:
            symptom = sighting.symptom
            self._journal.write(StepBad(step=self._loop.step, kind=symptom.kind, name=symptom.name))

    def after_update(self, optimizer: Optimizer) -> None:
        """Count the step."""
        self._loop.close_step(optimizer)
