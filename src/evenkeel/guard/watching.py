"""The ordinary state of a guard: judge each step, let the healthy ones pass."""

from __future__ import annotations

from collections.abc import Callable

from evenkeel.core.events import StepBad, StepDone, UpdateRefused
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.patience import Patience
from evenkeel.journal.writer import Journal
from evenkeel.step.scalers import refused_by_scaler
from evenkeel.step.updater import Updater, Withheld, withhold

Found = Callable[[Sighting | None, Updater], None]  # None: another rank saw it
Born = Callable[[Sighting, Updater], None]


class Watching:
    """Judges losses, gradients and buffers before each update, and the parameters after it.

    A bad step's update is withheld, then `found` is told. An update that was itself at fault has been made by the
    time it is seen; `born_in_update` is told instead.
    """

    def __init__(
        self,
        loop: Loop,
        record: Record,
        *,
        found: Found,
        born_in_update: Born,
        goes_on: Callable[[], bool],
    ) -> None:
        """Watch `loop`, writing each step to the journal."""
        self._loop = loop
        self._journal = record.journal
        self._ranks = record.ranks
        self._found = found
        self._born_in_update = born_in_update
        self._goes_on = goes_on  # the update is made although it is bad
        self._patience = Patience()
        self._sighting: Sighting | None = None
        self._withheld: Withheld | None = None
        self._made: Sighting | None = None  # by the last update, and not yet told to the other ranks

    @property
    def withholds(self) -> bool:
        """Whether the update under way is being kept from happening."""
        return self._withheld is not None

    def before_update(self, updater: Updater) -> None:
        """Judge the step that is about to be applied."""
        if not self._loop.peaks:  # before the first update, so that growth can be told from the start
            self._loop.note_peak(updater)
        self._sighting = self._made or self._loop.judge.step(updater)
        if self._sighting is not None and self._made is None:
            self._made = self._loop.judge_updates_before(updater)  # they may be to blame
        if not self._ranks.verdict(updater, bad=self._sighting is not None):
            return
        if self._made is not None:
            self._born_in_update(self._made, updater)
        elif self._goes_on():
            self._found(self._sighting, updater)
        else:
            self._withheld = withhold(updater)

    def after_update(self, updater: Updater) -> None:
        """Judge what the update made, or report what was withheld."""
        if self._withheld is not None:
            self._withheld.release()
            self._withheld = None
            self._found(self._sighting, updater)
            return
        if self._loop.scaler is not None and refused_by_scaler(updater):
            if self._refused_too_often(updater):
                return
        else:
            self._patience.num_refused = 0
            made = self._loop.judge_update(updater)
            if made is not None:
                self._update_at_fault(made, updater)
        step = self._loop.step
        self._journal.write(StepDone(step=step, loss=self._loop.close_step(updater)))

    def update_refused(self, updater: Updater) -> None:
        """A scaler made no update: judge what it cannot mend."""
        sighting = self._loop.judge.losses_alone(updater)
        if self._ranks.verdict(updater, bad=sighting is not None):
            self._found(sighting, updater)
        else:
            self._refused_too_often(updater)

    def _refused_too_often(self, updater: Updater) -> bool:
        """Whether that is a finding now. All ranks have the same scale, so they find it together."""
        scale = self._loop.scale_after_refusal()
        self._journal.write(UpdateRefused(step=self._loop.step, scale=scale))
        if not self._patience.is_over(scale):
            return False
        self._found(self._loop.judge.exactly(updater), updater)
        return True

    def _update_at_fault(self, made: Sighting, updater: Updater) -> None:
        if self._ranks.share(updater):
            self._made = made  # told with the next verdict, so that all ranks hear of it in the same step
        else:
            self._born_in_update(made, updater)


class Noting:
    """After the first incident under `observe`: bad steps are written to the journal and nothing else is done."""

    def __init__(self, loop: Loop, journal: Journal) -> None:
        """Note the steps of `loop`."""
        self._loop = loop
        self._journal = journal

    def before_update(self, updater: Updater) -> None:
        """Note a bad step."""
        sighting = self._loop.judge.step(updater)
        if sighting is not None:
            symptom = sighting.symptom
            self._journal.write(StepBad(step=self._loop.step, kind=symptom.kind, name=symptom.name))

    def after_update(self, updater: Updater) -> None:
        """Count the step."""
        self._loop.close_step(updater)

    def update_refused(self, updater: Updater) -> None:
        """Nothing was made."""
