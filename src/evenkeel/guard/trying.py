"""The state of a guard in which a bad step comes again with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass

from evenkeel.core.incident import Experiment
from evenkeel.experiment.change import Change
from evenkeel.experiment.unchanged import Unchanged
from evenkeel.guard.loop import Loop
from evenkeel.guard.repetition import Repetition
from evenkeel.step.kept import KeptUpdate
from evenkeel.step.updater import Updater


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended."""

    experiment: Experiment | None  # None: nothing was learnt
    can_go_on: bool  # the loop stands where another trial can begin
    num_steps: int  # how often the step came


Ended = Callable[[Outcome], None]


class Trying:
    """Has the step come once more, changed, and tells whether it is healthy then.

    Healthy: losses, gradients and buffers are finite; so are the parameters and the optimizer's state after the update;
    and, in a loop that is given its batches, so is the same step made once more from there. What the update made is in
    place only from that step's batch to its own update, so that no checkpoint of the program's can hold it. Random
    states and buffers are put back by whoever goes on.
    """

    def __init__(
        self, loop: Loop, repetition: Repetition, change: Change | None, kept: KeptUpdate, ended: Ended
    ) -> None:
        """`ended` is told how it went, once. A `change` of None: another rank's, which is judged together."""
        self.repetition = repetition
        self._loop = loop
        self._change = change
        self._acting: Change = change or Unchanged()
        self._kept = kept
        self._ended = ended
        self._in_force = ExitStack()
        self._is_entered = False
        self._loss: float | None = None
        self._made: KeptUpdate | None = None  # what the update made, from where the step is to come once more

    def begin(self) -> None:
        """Let the step come again as soon as it can."""
        self.repetition.once_more(self._begin)

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what the step consumed, changed."""
        is_first = not self.repetition.rewind.began
        hand_out = self.repetition.next_batch(source)
        if self.repetition.rewind.overrun:
            self._end(None, can_go_on=False)
        if hand_out is None:
            return None
        if is_first:
            self._enter()
        return (self._acting.batch(hand_out),)

    def before_update(self, updater: Updater) -> None:
        """Judge the step at the update that failed; let it be made where all is well so far."""
        if not self.repetition.arrives(updater):
            return
        if not self.repetition.rewind.consumed:
            self.repetition.is_astray = True
            self._end(None, can_go_on=False)
            return
        is_bad = not self._loop.judge.is_healthy(self.repetition.updater)
        self._note_loss()
        if self.repetition.verdict(bad=is_bad):
            self._conclude(is_healthy=False)
        elif self._made is not None:
            self._conclude(is_healthy=True)

    def update_refused(self, updater: Updater) -> None:
        """A scaler met something that is not finite."""
        if self.repetition.rewind.arrives(updater):
            self._note_loss()
            self._conclude(is_healthy=False)

    def after_update(self, _updater: Updater) -> None:
        """Judge the update that was made, then have the step come from there; or begin after one that was withheld."""
        if not self.repetition.is_at_its_update:
            self.repetition.update_ended()
            return
        self.repetition.update_was_made()
        is_bad = self._kept.state_went_bad or self._loop.judge.update(self.repetition.updater) is not None
        if self.repetition.verdict(bad=is_bad):
            self._conclude(is_healthy=False)
        elif not self.repetition.rewind.window.consumed:
            self._conclude(is_healthy=True)
        else:
            self._made = KeptUpdate(self.repetition.updater)
            self._leave()
            self._kept.put_back()
            self.repetition.once_more(self._begin)

    def give_up(self) -> None:
        """End without having seen it: the loop ended, or the program did not bear the change."""
        self._end(None, can_go_on=False)

    def _begin(self) -> None:
        self.repetition.begin()
        if self.repetition.rewind.began:
            self._enter()

    def _enter(self) -> None:
        """The step begins: the change is in force, and what the update made is there where it was made."""
        if not self._is_entered:
            self._is_entered = True
            self._in_force.enter_context(self._acting.during())
            if self._made is not None:
                self._made.put_back()

    def _leave(self) -> None:
        """The program goes on to its next batch, and may read or store its parameters on the way."""
        self._in_force.close()
        self._is_entered = False

    def _note_loss(self) -> None:
        """That of the changed step itself, not of the one that follows its update."""
        if self._made is None:
            self._loss = self._loop.heard.last_loss

    def _conclude(self, *, is_healthy: bool) -> None:
        self._end(self._experiment(is_healthy=is_healthy), can_go_on=True)

    def _experiment(self, *, is_healthy: bool) -> Experiment | None:
        change = self._change
        if change is None or not change.took_effect:
            return None
        keeps = not change.keeps_loss or (self._loss is not None and self._loss == self.repetition.loss)
        return Experiment(name=change.name, changed=change.changed, healthy=is_healthy and keeps, loss=self._loss)

    def _end(self, experiment: Experiment | None, *, can_go_on: bool) -> None:
        self._leave()
        self._kept.put_back()
        self._ended(Outcome(experiment, can_go_on, 1 if self._made is None else 2))
