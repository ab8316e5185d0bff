"""A bad step that comes again through the user's own loop, as often as somebody wants to look at it."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from evenkeel.guard.loop import Loop
from evenkeel.guard.ranks import Ranks
from evenkeel.step.replay import Rewind
from evenkeel.step.updater import Updater, Withheld, withhold
from evenkeel.step.window import HandOut


class Repetition:
    """Puts the step's beginning back, lets its batches come again, and withholds the updates on the way to its own.

    It begins and ends inside hooks, between which the user's own code runs.
    """

    def __init__(self, loop: Loop, updater: Updater, ranks: Ranks) -> None:
        """Prepare to repeat the step of the loop's present window, which `updater` was about to end."""
        self.updater = updater
        self._ranks = ranks
        self.rewind = Rewind(updater, len(loop.window.updates), loop.window, loop.buffers)
        self.update_is_under_way = False  # that of the step, or of the one that came in its place
        self.is_astray = False  # another step came in its place
        self.loss: float | None = None  # of the replayed step, where that is one real number
        self._loop = loop
        self._withheld: Withheld | None = None
        self._next: Callable[[], None] | None = None

    def begin(self) -> None:
        """Put the step's beginning back."""
        self._loop.forget_gradients(self.updater)
        self.rewind.put_back()

    def verdict(self, *, bad: bool) -> bool:
        """Whether it is bad on any rank that repeats the step too."""
        return self._ranks.verdict(self.updater, bad=bad)

    def next_batch(self, source: Hashable) -> HandOut | None:
        """What the step consumed next from this source; None when it consumed nothing from it."""
        return self.rewind.next_batch(source)

    def arrives(self, updater: Updater) -> bool:
        """Whether this update is the one that failed; any other was made already, and is withheld."""
        if self.rewind.arrives(updater):
            self.update_is_under_way = True
            return True
        self.rewind.passed += self.rewind.began  # what ends the iteration under way does not count
        self._withheld = withhold(updater)
        return False

    @property
    def is_at_its_update(self) -> bool:
        """Whether the update under way is the step's own, and is being made."""
        return self.update_is_under_way and self._withheld is None

    def update_was_made(self) -> None:
        """The step's own update is over: it was let through."""
        self.update_is_under_way = False

    def update_ended(self) -> None:
        """After a withheld update the step begins, or comes once more."""
        if self._withheld is None:
            return
        self._withheld.release()
        self._withheld = None
        if self._next is None:
            self.rewind.put_back()
            self._loop.heard.clear()
        else:
            self._begin_next(self._next)

    def once_more(self, then: Callable[[], None]) -> None:
        """Call `then` when the step can come once more: after the update under way, when there is one."""
        if self.update_is_under_way:
            self._withheld, self._next = withhold(self.updater), then
        else:
            self._begin_next(then)

    def _begin_next(self, then: Callable[[], None]) -> None:
        self._next = None
        self.update_is_under_way = False
        self.rewind = self.rewind.from_start()
        then()
