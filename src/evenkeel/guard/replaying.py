"""The state of a guard in which a bad step comes again through the user's own loop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from evenkeel.casefile.scene import Replay
from evenkeel.core.fingerprint import Fingerprint, Likeness, least
from evenkeel.detect.nonfinite import Sighting, sent_to_others
from evenkeel.dist.world import world
from evenkeel.guard.loop import Loop
from evenkeel.guard.repetition import Repetition
from evenkeel.locate.observation import Observation, compiled_code_ran
from evenkeel.locate.source import tensors_of_user
from evenkeel.step.updater import ByHand, Updater, parameters_of
from evenkeel.tensors.fingerprint import fingerprint

_MOST_ELEMENTS = 1_000_000  # larger ones are whole data sets
IN_PROCESS = "in process, through the loop itself"

Ended = Callable[[Replay], None]


class Replaying:
    """Has the step come again under a trace, and compares the symptom when the step is back.

    Where compiled code took part and the eager replay did not repeat the symptom, the step comes once more just as it
    ran, so that a failure of the compiled form is told from one that does not repeat at all.
    """

    def __init__(
        self, loop: Loop, target: Sighting | None, repetition: Repetition, observation: Observation, ended: Ended
    ) -> None:
        """Prepare to repeat the step in which `target` was seen; `ended` is told how it went, once.

        A `target` of None was seen by another rank.
        """
        self.repetition = repetition
        self._loop = loop
        self._target = target
        self._ended = ended
        self._observation = observation
        self._eager: Replay | None = None  # how the eager replay went, while the step comes as it ran
        self._versions: tuple[int, ...] = ()
        self._witnesses = witnesses(repetition)

    def obstacle(self) -> str | None:
        """Why the step cannot come again in this process, if so."""
        if not self.repetition.rewind.possible:
            return "the loop wrote into its batch, so it cannot be handed out again"
        if self._loop.step > 0 and self._loop.judge.update(self.repetition.updater) is not None:
            return "the step itself wrote into the parameters"  # they were finite a step ago
        return None

    def begin(self) -> None:
        """Put the step's beginning back and observe from here, or from its first batch."""
        self.repetition.begin()
        self._versions = versions_of(self.repetition.updater)
        self._observation.start()
        if self.repetition.rewind.began:
            self._observation.begin()

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what the step consumed; give up when the loop wants more than that."""
        first = not self.repetition.rewind.began
        hand_out = self.repetition.next_batch(source)
        if self.repetition.rewind.overrun:
            self.give_up("the loop asked for another batch before it came to the failing update")
        if hand_out is None:
            return None
        if first:
            self._observation.begin()
        return (hand_out.again(),)

    def backward_begins(self, losses: Sequence[Tensor]) -> None:
        """Note what the loss is a sum of, and where only gradients are bad, those of which term."""
        summands, target = self._observation.summands, self._target
        is_finite = target is not None and target.symptom.kind == "gradient"
        # other ranks take part in a backward; compiled code gives up its buffers in the first one
        if is_finite and world().size == 1 and self._eager is None:
            summands.note_with_gradients(losses)
        else:
            summands.note(losses)

    def before_update(self, updater: Updater) -> None:
        """Compare the symptom at the failing update."""
        if self.repetition.arrives(updater):
            self._arrive()

    def update_refused(self, updater: Updater) -> None:
        """The same, where a scaler keeps the update from being made."""
        if self.repetition.rewind.arrives(updater):
            self._arrive()

    def after_update(self, _updater: Updater) -> None:
        """After a withheld update the step begins, or comes once more."""
        self.repetition.update_ended()

    def give_up(self, why: str) -> None:
        """End without a repeated step."""
        self._end(self._eager or Replay(how=f"not repeated: {why}", likeness="none"))

    def _arrive(self) -> None:
        if not self.repetition.rewind.consumed:
            self.repetition.is_astray = True
            self.give_up("the loop did not take its batch again")
            return
        self._observation.stop()
        self.repetition.loss = self._loop.heard.last_loss
        again = self._loop.judge.exactly(self.repetition.updater)
        likeness = self._likeness(again)
        seen = again or sent_to_others(self._observation.trace.sent)
        replay = Replay(how=IN_PROCESS, likeness=likeness, observed=self._observation, sighting=seen)
        if self._eager is not None:
            self._end(compiled_and_eager(replay, self._eager, self._target))
        elif not replay.reproduced and compiled_code_ran():
            self._eager = replay
            self.repetition.once_more(self._begin_as_it_ran)
        else:
            self._end(replay)

    def _likeness(self, again: Sighting | None) -> Likeness:
        """Of the step that came to the step that was to come."""
        if versions_of(self.repetition.updater) != self._versions:
            return "none"
        if self._target is None:
            as_seen: Likeness = "bits" if again is None else "none"
        else:
            as_seen = self._target.likeness(again)
        return least((as_seen, likeness_of(self._witnesses, witnesses(self.repetition))))

    def _begin_as_it_ran(self) -> None:
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
        how = f"{IN_PROCESS}, compiled as it ran, then traced without compilation"
        return replace(eager, how=how, likeness=compiled.likeness)
    return replace(compiled, how=f"{IN_PROCESS}, compiled as it ran", only_compiled=True)


def versions_of(updater: Updater) -> tuple[int, ...]:
    """How often each parameter was written to: a step that writes to them by itself does not come again the same."""
    return tuple(p._version for p in parameters_of(updater))


def witnesses(repetition: Repetition) -> dict[str, Fingerprint]:
    """The tensors that the loop holds in variables of its own.

    A loss of NaN with gradients of NaN is the same in many a step. Where no batch is handed out again, only what
    the loop computed on the way tells whether it took the same data. Cost: a copy of each, for a bad step only.
    """
    if repetition.rewind.window.consumed or isinstance(repetition.updater, ByHand):
        return {}
    held = [(name, t) for name, t in tensors_of_user() if t.layout == torch.strided and t.numel() <= _MOST_ELEMENTS]
    return {name: fingerprint([tensor]) for name, tensor in reversed(held)}


def likeness_of(before: Mapping[str, Fingerprint], now: Mapping[str, Fingerprint]) -> Likeness:
    """How like the tensors of now are to those of before, of which none may be missing."""
    if not before.keys() <= now.keys():
        return "none"
    return least(tuple(was.likeness(now[name]) for name, was in before.items()))
