"""The state of a guard in which a bad step comes again with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor

from evenkeel.core.incident import Experiment
from evenkeel.experiment.without_samples import NAME, WithoutSamples
from evenkeel.guard.loop import Loop
from evenkeel.guard.repetition import Repetition
from evenkeel.step.updater import Updater

Ended = Callable[[Experiment | None], None]


class Trying:
    """Has the step come once more, changed, and tells whether it is healthy then.

    Parameters are not touched; random states and buffers are put back by whoever goes on.
    """

    def __init__(self, loop: Loop, repetition: Repetition, change: WithoutSamples | None, ended: Ended) -> None:
        """`ended` is told how it went, once: None when it could not be told. A `change` of None: another rank's."""
        self.repetition = repetition
        self._loop = loop
        self._change = change
        self._ended = ended

    def begin(self) -> None:
        """Let the step come again as soon as it can."""
        self.repetition.once_more(self.repetition.begin)

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what the step consumed, changed."""
        hand_out = self.repetition.next_batch(source)
        if self.repetition.rewind.overrun:
            self._ended(None)
        if hand_out is None:
            return None
        return (hand_out.again() if self._change is None else self._change.batch(hand_out),)

    def before_update(self, updater: Updater) -> None:
        """Judge the step at the update that failed."""
        if self.repetition.arrives(updater):
            self._arrive()

    def update_refused(self, updater: Updater) -> None:
        """The same, where a scaler keeps the update from being made."""
        if self.repetition.rewind.arrives(updater):
            self._arrive()

    def after_update(self, _updater: Updater) -> None:
        """After a withheld update the step begins."""
        self.repetition.update_ended()

    def give_up(self) -> None:
        """End without having seen it: the loop ended, or the program did not bear the change."""
        self._ended(None)

    def _arrive(self) -> None:
        if not self.repetition.rewind.consumed:
            self.repetition.is_astray = True
            self._ended(None)
            return
        losses = self._loop.heard.losses
        loss = _number(losses[-1]) if losses else None
        healthy = self._loop.judge.exactly(self.repetition.updater) is None
        if self._change is None:
            self._ended(None)
        else:
            self._ended(Experiment(name=NAME, changed=self._change.changed, healthy=healthy, loss=loss))


def _number(loss: Tensor) -> float | None:
    return float(loss) if loss.numel() == 1 and not loss.is_complex() else None
