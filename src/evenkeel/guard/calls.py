"""A loop that gives each of its steps to a guard as a function and a batch."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from evenkeel.core.errors import TrainingStopped
from evenkeel.guard.guarded import GuardedLoop
from evenkeel.step.hooks import steps_heard

Batch = TypeVar("Batch")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Function:
    """A source of batches: what a function was given, it can be given again."""

    source: Hashable
    call: Callable[..., object]


class Calls:
    """Calls the function of each step, and calls it again as often as the guard wants to see the step.

    Each function is a source of its own, because a verdict that arrives one step late concerns the call before: the
    batch of that one comes again through the function that it was given to. It listens between calls too: to hook into
    torch anew for each would cost half a millisecond.
    Memory: the functions of the step under way and of the one before.
    """

    def __init__(self, core: GuardedLoop) -> None:
        """Nothing is heard before the first call."""
        self.are_heard = False
        self._core = core
        self._listening = ExitStack()
        self._functions: deque[_Function] = deque()
        # Not `self.end`, which holds the core, and that the model: one that knows its guard would never be freed.
        weakref.finalize(self, self._listening.close)

    def step(self, function: Callable[[Batch], Result], batch: Batch) -> Result:
        """What `function` returned, of the call whose update was made; of the first call where none was."""
        if not self.are_heard:
            self._listening.enter_context(steps_heard(self._core))
            self.are_heard = True
        try:
            return self._step(function, batch)
        except TrainingStopped:
            self.end()
            raise

    def end(self) -> None:
        """Listen no more until the next call."""
        self._listening.close()
        self.are_heard = False

    def _step(self, function: Callable[[Batch], Result], batch: Batch) -> Result:
        again = self._next()  # left over where an exception ended the call before
        while again is not None:
            again[0].call(again[1])
            again = self._next()
        here = self._remembered(function)
        self._core.batch_handed_out(here.source, batch, ())
        result = function(batch)
        again = self._next()
        while again is not None:
            made = again[0].call(again[1])
            if again[0] is here and not self._core.holds_still():
                result = made  # type: ignore[assignment]  # `here` is this very function
            again = self._next()
        return result

    def _remembered(self, function: Callable[..., object]) -> _Function:
        """The function as a source; methods of the same object are the same, though Python makes them anew."""
        source = ("step", id(getattr(function, "__self__", None)), id(getattr(function, "__func__", function)))
        in_use = {hand_out.source for hand_out in self._core.loop.window.hand_outs}
        self._functions = deque(known for known in self._functions if known.source in in_use)
        for known in self._functions:
            if known.source == source:
                return known
        self._functions.append(_Function(source, function))
        return self._functions[-1]

    def _next(self) -> tuple[_Function, object] | None:
        """The batch that is to come again, and through which function; None when all is settled.

        The one that came last is asked last, because several may take part in one step.
        """
        for _ in range(len(self._functions)):
            function = self._functions[0]
            self._functions.rotate(-1)
            again = self._core.batch_again(function.source)
            if again is not None:
                return function, again[0]
        return None
