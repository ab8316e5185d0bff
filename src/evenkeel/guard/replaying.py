"""The state of a guard in which a bad step comes again through the user's own loop, under the trace."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch.optim import Optimizer

from evenkeel.casefile import Replay
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.loop import Loop, parameters_of
from evenkeel.locate.observation import Observation
from evenkeel.step.replay import Rewind, Withheld, forget_gradients

IN_PROCESS = "in process, through the loop itself"

Ended = Callable[[Replay], None]


class Replaying:
    """Rewinds the loop, hands the same batches out again, and compares the symptom when the step is back."""

    def __init__(self, loop: Loop, target: Sighting, optimizer: Optimizer, ended: Ended) -> None:
        """Prepare to repeat the step in which `target` was seen; `ended` is told how it went, once."""
        self._loop = loop
        self._target = target
        self._ended = ended
        self._rewind = Rewind(id(optimizer), len(loop.window.updates), loop.window, loop.buffers)
        self._observation = Observation(loop.names)
        self._withheld: Withheld | None = None
        self._versions = versions_of(optimizer)

    def begin(self, optimizer: Optimizer) -> None:
        """Put the step's beginning back and observe from here, or from its first batch."""
        if not self._rewind.possible:
            self.give_up("the loop wrote into its batch, so it cannot be handed out again")
            return
        if self._loop.step > 0 and self._loop.judge_update(optimizer) is not None:  # they were finite a step ago
            self.give_up("the step itself wrote into the parameters")
            return
        forget_gradients((*self._loop.optimizers.values(), optimizer))
        self._rewind.put_back()
        self._loop.losses.clear()
        self._observation.start()
        if self._rewind.began:
            self._observation.trace.begin()

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what the step consumed; give up when the loop wants more than that."""
        first = not self._rewind.began
        hand_out = self._rewind.next_batch(source)
        if self._rewind.overrun:
            self.give_up("the loop asked for another batch before it came to the failing update")
        if hand_out is None:
            return None
        if first:
            self._observation.trace.begin()
        return (hand_out.again(),)

    def before_update(self, optimizer: Optimizer) -> None:
        """Compare the symptom at the failing update; withhold any update that was made already."""
        if not self._rewind.arrives(optimizer):
            self._rewind.passed += self._rewind.began  # what ends the iteration under way does not count
            self._withheld = Withheld(optimizer)
            return
        self._observation.stop()
        again = self._loop.judge(optimizer)
        reproduced = self._target.repeats(again) and versions_of(optimizer) == self._versions
        self._ended(Replay(how=IN_PROCESS, reproduced=reproduced, trace=self._observation.trace, sighting=again))

    def after_update(self, _optimizer: Optimizer) -> None:
        """After a withheld update the failing step begins."""
        if self._withheld is not None:
            self._withheld.release()
            self._withheld = None
            self._rewind.put_back()
            self._loop.losses.clear()

    def give_up(self, why: str) -> None:
        """End without a repeated step."""
        self._observation.stop()
        self._ended(Replay(how=f"not repeated: {why}", reproduced=False))


def versions_of(optimizer: Optimizer) -> tuple[int, ...]:
    """How often each parameter was written to: a step that writes to them by itself does not come again the same."""
    return tuple(p._version for p in parameters_of(optimizer))
