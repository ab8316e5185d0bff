"""The stage of a replay that runs the program from its start up to the captured step."""

from __future__ import annotations

from collections.abc import Hashable

from evenkeel.capsule.manifest import Seen
from evenkeel.core.errors import TrainingStopped, UsageError
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.belongings import names_in_capsules, tensors_by_name
from evenkeel.guard.loop import Loop
from evenkeel.investigate.verdict import AGAIN, BAD, Outcome, Verdict, outcome_of
from evenkeel.locate.modules import living_roots
from evenkeel.step.updater import Updater, key_of


class FromStart:
    """Lets all updates pass, and compares at the one where the failure was seen."""

    is_repeating = False  # nothing is held still

    def __init__(self, loop: Loop, seen: Seen) -> None:
        """Compare with what was `seen`."""
        self.verdict: Verdict | None = None
        self.refusal: UsageError | None = None  # never: whatever the program is, it can be run from its start
        self._loop = loop
        self._seen = seen

    def batch_again(self, _source: Hashable) -> tuple[object] | None:
        """The program's own come."""
        return None

    def batch_handed_out(self, source: Hashable, batch: object) -> None:
        """It is the one that it was."""

    def before_update(self, updater: Updater) -> None:
        """Parameters may have been seen before the update or after it; anything else was seen before."""
        if not self._is_due:
            return
        if self._seen.kind == "parameter":
            self._compare(self._loop.judge.update(updater), updater, ends=AGAIN)
        else:
            again = self._loop.judge.step(updater)
            self._compare(again, updater, ends=BAD)

    def after_update(self, updater: Updater) -> None:
        """Judge the update that is due, or count it."""
        if self._is_due:
            again = self._loop.judge.last_evaluation(updater) or self._loop.judge.update(updater)
            self._compare(again, updater, ends=(*BAD, "gone"))
        self._loop.close_step(updater)

    def update_refused(self, updater: Updater) -> None:
        """Many may be refused before the one that is due is made: the one that is the same is meant."""
        if self._is_due:
            self._compare(self._loop.judge.exactly(updater), updater, ends=AGAIN)

    @property
    def _is_due(self) -> bool:
        return self._loop.step == self._seen.step

    def _compare(self, again: Sighting | None, updater: Updater, *, ends: tuple[Outcome, ...]) -> None:
        updaters = tuple({**self._loop.updaters, key_of(updater): updater}.values())
        names = names_in_capsules(tensors_by_name(living_roots(), updaters), self._loop.name_of)
        outcome = outcome_of(self._seen, again, names)
        if outcome in ends:
            now = () if again is None else tuple(names.get(name, name) for name in again.symptom.names)
            self.verdict = Verdict(outcome=outcome, names=now, loss=self._loop.heard.last_loss)
            raise TrainingStopped(self._loop.step)
