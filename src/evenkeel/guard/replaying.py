"""The state of a guard in which a bad step comes again through the user's own loop."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace

from evenkeel.casefile import Replay
from evenkeel.detect.nonfinite import Sighting, sent_to_others
from evenkeel.guard.loop import Loop
from evenkeel.locate.observation import Observation, compiled_code_ran
from evenkeel.step.replay import Rewind
from evenkeel.step.updater import Updater, Withheld, parameters_of, withhold

IN_PROCESS = "in process, through the loop itself"

Ended = Callable[[Replay], None]


class Replaying:
    """Rewinds the loop, hands the same batches out again, and compares the symptom when the step is back.

    Where compiled code took part and the eager replay did not repeat the symptom, the step comes once more just as it
    ran, so that a failure of the compiled form is told from one that does not repeat at all.
    """

    def __init__(
        self, loop: Loop, target: Sighting | None, updater: Updater, observation: Observation, ended: Ended
    ) -> None:
        """Prepare to repeat the step in which `target` was seen; `ended` is told how it went, once.

        A `target` of None was seen by another rank.
        """
        self.rewind = Rewind(updater, len(loop.window.updates), loop.window, loop.buffers)
        self.updater = updater
        self.update_is_under_way = False  # that of the replayed step, or of the one that came in its place
        self.is_astray = False  # another step came in its place
        self._loop = loop
        self._target = target
        self._ended = ended
        self._observation = observation
        self._eager: Replay | None = None  # how the eager replay went, while the step comes as it ran
        self._withheld: Withheld | None = None
        self._versions: tuple[int, ...] = ()

    def obstacle(self) -> str | None:
        """Why the step cannot come again in this process, if so."""
        if not self.rewind.possible:
            return "the loop wrote into its batch, so it cannot be handed out again"
        if self._loop.step > 0 and self._loop.judge.update(self.updater) is not None:  # they were finite a step ago
            return "the step itself wrote into the parameters"
        return None

    def begin(self) -> None:
        """Put the step's beginning back and observe from here, or from its first batch."""
        self._loop.forget_gradients(self.updater)
        self.rewind.put_back()
        self._versions = versions_of(self.updater)
        self._observation.start()
        if self.rewind.began:
            self._observation.trace.begin()

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what the step consumed; give up when the loop wants more than that."""
        first = not self.rewind.began
        hand_out = self.rewind.next_batch(source)
        if self.rewind.overrun:
            self.give_up("the loop asked for another batch before it came to the failing update")
        if hand_out is None:
            return None
        if first:
            self._observation.trace.begin()
        return (hand_out.again(),)

    def before_update(self, updater: Updater) -> None:
        """Compare the symptom at the failing update; withhold any update that was made already."""
        if self.rewind.arrives(updater):
            self.update_is_under_way = True
            self._arrive()
            return
        self.rewind.passed += self.rewind.began  # what ends the iteration under way does not count
        self._withheld = withhold(updater)

    def update_refused(self, updater: Updater) -> None:
        """The same, where a scaler keeps the update from being made."""
        if self.rewind.arrives(updater):
            self._arrive()

    def after_update(self, _updater: Updater) -> None:
        """After a withheld update the failing step begins."""
        if self._withheld is None:
            return
        self._withheld.release()
        self._withheld = None
        if self.update_is_under_way:
            self._begin_as_it_ran()
        else:
            self.rewind.put_back()
            self._loop.heard.clear()

    def give_up(self, why: str) -> None:
        """End without a repeated step."""
        self._end(self._eager or Replay(how=f"not repeated: {why}", reproduced=False))

    def _arrive(self) -> None:
        if not self.rewind.consumed:
            self.is_astray = True
            self.give_up("the loop did not take its batch again")
            return
        self._observation.stop()
        again = self._loop.judge.exactly(self.updater)
        as_seen = again is None if self._target is None else self._target.repeats(again)
        reproduced = as_seen and versions_of(self.updater) == self._versions
        trace = self._observation.trace
        seen = again or sent_to_others(trace.sent)
        replay = Replay(how=IN_PROCESS, reproduced=reproduced, trace=trace, sighting=seen)
        if self._eager is not None:
            self._end(compiled_and_eager(replay, self._eager, self._target))
        elif not reproduced and compiled_code_ran():
            self._eager = replay
            self._once_more()
        else:
            self._end(replay)

    def _once_more(self) -> None:
        """Let the step come again as it ran: after the update under way, when there is one."""
        if self.update_is_under_way:
            self._withheld = withhold(self.updater)
        else:
            self._begin_as_it_ran()

    def _begin_as_it_ran(self) -> None:
        self.update_is_under_way = False
        self.rewind = self.rewind.from_start()
        self._observation = Observation(self._loop.names, "default")
        self.begin()

    def _end(self, replay: Replay) -> None:
        self._observation.stop()
        self._ended(replay)


def compiled_and_eager(compiled: Replay, eager: Replay, target: Sighting | None) -> Replay:
    """What two replays say together: the one as it ran, and the traced one without compiled code."""
    if not compiled.reproduced or target is None:
        return eager
    if target.resembles(eager.sighting):  # the same tensors are bad; other bits are what compilation is allowed
        return replace(eager, how=f"{IN_PROCESS}, compiled as it ran, then traced without compilation", reproduced=True)
    return replace(compiled, how=f"{IN_PROCESS}, compiled as it ran", only_compiled=True)


def versions_of(updater: Updater) -> tuple[int, ...]:
    """How often each parameter was written to: a step that writes to them by itself does not come again the same."""
    return tuple(p._version for p in parameters_of(updater))
