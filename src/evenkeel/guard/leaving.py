"""The state of a guard in which a bad step is left out: from its update to where the loop begins the next one."""

from __future__ import annotations

from evenkeel.guard.loop import Loop
from evenkeel.step.replay import Rewind
from evenkeel.step.updater import Updater, Withheld


class Leaving:
    """Puts everything but the loop's own variables where a loop stands that left the batch out.

    Schedules stay still until the loop shows that it has begun something new.
    """

    def __init__(self, loop: Loop, rewind: Rewind, withheld: Withheld | None) -> None:
        """`withheld` is the update that is being kept from happening; None when there is none under way."""
        self._loop = loop
        self._rewind = rewind
        self._withheld = withheld
        if withheld is None:
            self._put_back()

    def before_update(self, updater: Updater) -> None:
        """Nothing: the next step shows itself earlier than by its update."""

    def after_update(self, _updater: Updater) -> None:
        """The withheld update is over."""
        if self._withheld is not None:
            self._withheld.release()
            self._withheld = None
            self._put_back()

    def update_refused(self, updater: Updater) -> None:
        """Nothing: what was refused is left out."""

    @property
    def done(self) -> bool:
        """Whether the update is over, so that the next sign of the loop belongs to the next step."""
        return self._withheld is None

    def _put_back(self) -> None:
        self._loop.forget_gradients(self._rewind.updater)
        self._rewind.put_back_to_batch()
        self._loop.leave_out(self._rewind.updater)
