"""The things that are tried on a bad step, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from evenkeel.casefile.trials import Trial, Tried
from evenkeel.experiment.change import Change
from evenkeel.guard.loop import Loop
from evenkeel.guard.repetition import Repetition
from evenkeel.guard.trying import Outcome, Trying
from evenkeel.step.kept import KeptUpdate

_MOST_STEPS = 16  # how often the step may come for them: a healthy trial takes two

Enter = Callable[[Trying], None]
Ended = Callable[[Tried], None]


class Trials:
    """Has a bad step come again for each change; ranks that share its update go through it together.

    Cost: a copy of parameters and optimizer state in the host's memory, and one or two steps for each change.
    """

    def __init__(self, loop: Loop, repetition: Repetition, changes: Iterable[Change], ended: Ended) -> None:
        """`ended` is told what was tried, once. Each change is asked for when the one before has been tried."""
        self._loop = loop
        self._repetition = repetition
        self._changes = iter(changes)
        self._ended = ended
        self._kept: KeptUpdate | None = None
        self._trials: list[Trial] = []
        self._met: set[str] = set()
        self._num_steps = 0

    def next(self, enter: Enter) -> None:
        """Begin the next trial; `enter` puts the guard into its state."""
        change = next(self._changes, None) if self._num_steps < _MOST_STEPS else None
        if not self._repetition.verdict(bad=change is not None):
            self._end()
            return
        if self._kept is None:
            self._kept = KeptUpdate(self._repetition.updater)
        ended = partial(self._trial_ended, change, enter)
        trying = Trying(self._loop, self._repetition, change, self._kept, ended)
        enter(trying)
        trying.begin()

    def _trial_ended(self, change: Change | None, enter: Enter, outcome: Outcome) -> None:
        self._num_steps += outcome.num_steps
        if change is not None and outcome.can_go_on:
            self._met.add(change.name)
        if change is not None and outcome.experiment is not None:
            self._trials.append(Trial.of(change, outcome.experiment, outcome.num_steps))
        if outcome.can_go_on:
            self.next(enter)
        else:
            self._end()

    def _end(self) -> None:
        left = frozenset(change.name for change in self._changes) - self._met
        self._ended(Tried(trials=tuple(self._trials), met=frozenset(self._met), left=left))
