"""The state of a guard whose verdicts arrive one step late, so that the host never waits for the device."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.events import StepDone
from evenkeel.detect.nonfinite import Sighting, glimpse
from evenkeel.guard.incidents import Record
from evenkeel.guard.loop import Loop
from evenkeel.guard.watching import Watching
from evenkeel.step.device import LeftOutIf, Reading
from evenkeel.step.holds import ScheduleState
from evenkeel.step.listener import Schedule
from evenkeel.step.snapshot import BufferCopy
from evenkeel.step.updater import Updater, Withheld, withhold
from evenkeel.step.window import HandOut, Window

Found = Callable[[Sighting, Updater], None]


@dataclass(frozen=True, slots=True)
class Unread:
    """A step whose verdict is on its way, and what makes it come again."""

    step: int
    updater: Updater
    window: Window
    buffers: BufferCopy
    losses: tuple[Tensor, ...]
    reading: Reading  # flag before the update, flag after it, loss


class LateWatching:
    """Has the device leave a bad update out, and hears of it just before the next update.

    The state is then still the one before the bad step. The step after it was computed and is not applied: its batches
    come again after those of the bad step. Schedules that moved in between are put back; averages of weights are not:
    under `skip` they have seen the unchanged weights once more.
    """

    def __init__(self, loop: Loop, record: Record, at_once: Watching, *, found: Found, born_in_update: Found) -> None:
        """Watch `loop`, writing each step to the journal when its verdict is there.

        What the device cannot leave out is left to `at_once`.
        """
        self._loop = loop
        self._at_once = at_once
        self._journal = record.journal
        self._found = found
        self._born_in_update = born_in_update
        self._unread: Unread | None = None
        self._bad: Unread | None = None
        self._is_for_device = False
        self._flag: Tensor | None = None
        self._left_out: LeftOutIf | None = None
        self._withheld: Withheld | None = None
        self._moved: list[ScheduleState] = []
        self.owed: dict[Hashable, deque[HandOut]] = defaultdict(deque)

    def batch_owed(self, source: Hashable) -> HandOut | None:
        """A batch of the step that was computed after the bad one, and never applied."""
        return self.owed[source].popleft() if self.owed.get(source) else None

    def schedule_moves(self, schedule: Schedule) -> None:
        """It belongs to a step whose verdict is not there yet."""
        if self._unread is not None:
            self._moved.append(ScheduleState(schedule))

    @property
    def withholds(self) -> bool:
        """Whether the update under way is being kept from happening."""
        return self._withheld is not None or self._at_once.withholds

    def before_update(self, updater: Updater) -> None:
        """Hear of the step before; let the device judge this one."""
        if self._learn():
            self._withheld = withhold(updater)
            return
        self._is_for_device = self._loop.judge.can_be_late(updater)
        if not self._is_for_device:
            self._at_once.before_update(updater)
            return
        if not self._loop.peaks:
            self._loop.note_peak(updater)
        with torch.no_grad():
            flags = self._loop.judge.flags(updater)
            self._flag = _sum_of(flags) if flags else None
        if self._flag is not None:
            self._left_out = LeftOutIf(updater, self._flag)

    def after_update(self, updater: Updater) -> None:
        """Go back to the bad step, or send this one's verdict on its way."""
        if self._withheld is not None and self._bad is not None:
            self._withheld.release()
            self._withheld = None
            self._go_back(self._bad)
            return
        if not self._is_for_device:
            self._at_once.after_update(updater)
            return
        if self._left_out is not None:
            self._left_out.release()
            self._left_out = None
        self._unread = self._sent(updater)

    def update_refused(self, updater: Updater) -> None:
        """The device does not do that by itself."""
        self._at_once.update_refused(updater)

    def finish(self) -> None:
        """The loop is over: hear of its last step."""
        if self._learn() and self._bad is not None:
            self._go_back(self._bad)

    def _sent(self, updater: Updater) -> Unread:
        made = self._loop.flags_of_update_when_due(updater)
        losses = tuple(self._loop.heard.losses)
        nothing = torch.zeros((), dtype=torch.float64)
        flag = nothing if self._flag is None else self._flag
        loss = losses[-1].sum().real if losses else nothing
        place = flag.device
        sent = [flag, (_sum_of(made) if made else nothing).to(place), loss.to(place)]
        unread = Unread(
            step=self._loop.step,
            updater=updater,
            window=self._loop.window.with_own_lists(),
            buffers=self._loop.buffers,
            losses=losses,
            reading=Reading(sent),
        )
        self._loop.close_unread_step(updater)
        return unread

    def _learn(self) -> bool:
        """Whether the step before was bad."""
        unread, self._unread = self._unread, None
        if unread is None:
            return False
        flag, made, loss = unread.reading.numbers()
        if math.isfinite(flag) and math.isfinite(made):
            self._moved.clear()
            self._loop.heard.past.append(loss)
            self._journal.write(StepDone(step=unread.step, loss=loss if unread.losses else None))
            return False
        self._bad = unread
        return True

    def _go_back(self, bad: Unread) -> None:
        """Stand before the bad step's update again, with the step after it to be done once more."""
        self._bad = None
        for hand_out in self._loop.window.consumed:
            self.owed[hand_out.source].append(hand_out)
        for state in reversed(self._moved):
            state.put_back()
        self._moved.clear()
        self._loop.return_to(bad.step, bad.window, bad.buffers)
        made = self._loop.judge.update(bad.updater)
        if made is not None:
            self._born_in_update(made, bad.updater)
        else:
            self._found(glimpse(bad.losses), bad.updater)


def _sum_of(flags: Sequence[Tensor]) -> Tensor:
    """Not finite when one of them is not."""
    return torch.stack([flag.double() for flag in flags]).sum()
