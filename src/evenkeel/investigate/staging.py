"""The stage of a replay that puts the captured state into a step of the program.

The program makes one update of its own first. By then its models, optimizers and loaders have shown themselves. When it
asks for the next batch, no graph of its own is in use: there everything is put in, and from there the step comes again
as it does in a live run: its batches in place of the loader's, its random states, buffers and settings.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import replace

import torch

from evenkeel.capsule.thaw import Capsule
from evenkeel.core.errors import TrainingStopped, UsageError
from evenkeel.experiment.change import Change
from evenkeel.guard.belongings import names_in_capsules, schedules_of, tensors_by_name
from evenkeel.guard.loop import Loop
from evenkeel.investigate.putting_in import put_model, put_scaler, put_schedules, put_updater
from evenkeel.investigate.verdict import Verdict, named, outcome_of
from evenkeel.locate.modules import living_roots
from evenkeel.step.replay import Rewind
from evenkeel.step.snapshot import RandomState
from evenkeel.step.updater import Updater, Withheld, key_of, withhold
from evenkeel.step.window import HandOut, Window
from evenkeel.tensors.trees import same_tensors, versions_in


class Staging:
    """Waits for the first update of the captured step's optimizer, then has that step come."""

    def __init__(self, loop: Loop, capsule: Capsule, change: Change | None) -> None:
        """With `change` one thing is different."""
        self.verdict: Verdict | None = None
        self.refusal: UsageError | None = None
        self._notes: list[str] = []  # what could not be put in
        self._loop = loop
        self._capsule = capsule
        self._change = change
        self._in_force = ExitStack()
        self._is_in_force = False
        self._examples: dict[Hashable, object] = {}  # the last batch of each loader
        self._updaters: dict[int, Updater] = {}  # in the order of their first updates
        self._names: dict[str, str] = {}
        self._due: Updater | None = None  # whose step the captured one is, once it has made an update
        self._rewind: Rewind | None = None
        self._withheld: Withheld | None = None

    @property
    def is_repeating(self) -> bool:
        """Whether the captured step is under way."""
        return self._rewind is not None

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what the step consumed."""
        if self._rewind is None and self._due is not None and torch.is_grad_enabled():
            self._try(self._begin_at, source, self._due)
        if self._rewind is None:
            return None
        hand_out = self._rewind.next_batch(source)
        if self._rewind.overrun:
            self._refuse("the loop asked for another batch before it came to the captured update")
        if hand_out is None:
            return None
        self._put_in_force()
        return (hand_out.again() if self._change is None else self._change.batch(hand_out),)

    def batch_handed_out(self, source: Hashable, batch: object) -> None:
        """Keep it as the example of what its loader hands out."""
        if torch.is_grad_enabled():
            self._examples[source] = same_tensors(batch)

    def before_update(self, updater: Updater) -> None:
        """Compare at the captured update; others of the same iteration are withheld."""
        if self._rewind is None:
            return
        if self._rewind.arrives(updater):
            self._arrive(self._rewind)
        else:
            self._rewind.passed += self._rewind.began
            self._withheld = withhold(updater)

    def after_update(self, updater: Updater) -> None:
        """Count the program's own update; after a withheld one the step begins."""
        if self._rewind is None:
            self._loop.close_step(updater)
            self._note(updater)
        elif self._withheld is not None:
            self._withheld.release()
            self._withheld = None
            self._rewind.put_back()
            self._loop.heard.clear()

    def update_refused(self, updater: Updater) -> None:
        """The same, where a scaler keeps the update from being made."""
        if self._rewind is None:
            self._note(updater)
        elif self._rewind.arrives(updater):
            self._arrive(self._rewind)

    def _note(self, updater: Updater) -> None:
        """Remember who makes updates; the captured step may come after the first one of its own."""
        self._updaters[key_of(updater)] = updater
        updaters = list(self._updaters.values())
        place = self._capsule.manifest.updater
        if len(updaters) > place and updaters[place] is updater:
            self._due = updater
            if not self._capsule.batches:
                self._try(self._begin, updater, [])

    def _try(self, begin: Callable[..., None], *given: object) -> None:
        """A program may catch a refusal, so it is raised when that has ended."""
        try:
            begin(*given)
        except UsageError as error:
            self.refusal = error
            raise TrainingStopped(self._loop.step) from error

    def _begin_at(self, source: Hashable, updater: Updater) -> None:
        """Begin if it is the loader of the first captured batch that is asked."""
        hand_outs = self._hand_outs()
        if hand_outs[0].source == source:
            self._begin(updater, hand_outs)

    def _begin(self, updater: Updater, hand_outs: list[HandOut]) -> None:
        """Everything as it was when the captured step began."""
        capsule, updaters = self._capsule, list(self._updaters.values())
        gc.collect()  # models that are no longer used are none of the program's
        tensors = tensors_by_name(living_roots(), updaters)
        self._notes += put_model(capsule.model, tensors)
        for stored, living in zip(capsule.updaters, updaters, strict=False):  # others have not made an update yet
            put_updater(stored, living)
        why = (
            put_schedules(capsule.schedules, schedules_of(updaters), updaters),
            put_scaler(capsule.scaler, self._loop.scaler),
        )
        self._notes += [text for text in why if text]
        self._names = names_in_capsules(tensors, self._loop.name_of)
        if self._loop.buffers.flat:
            self._loop.buffers.refresh()
        self._loop.window = self._window(hand_outs)
        position = capsule.manifest.num_updates_before
        self._rewind = Rewind(updater, position, self._loop.window, self._loop.buffers)
        self._loop.forget_gradients(updater)
        self._rewind.put_back()
        if self._rewind.began:
            self._put_in_force()

    def _window(self, hand_outs: list[HandOut]) -> Window:
        manifest = self._capsule.manifest
        return Window(
            hand_outs=hand_outs,
            random=self._for_this_machine(self._capsule.random),
            random_is_current=manifest.random_is_current,
            cleared_to=manifest.cleared_to,
        )

    def _hand_outs(self) -> list[HandOut]:
        """The captured batches as those of the loaders that hand out such."""
        loaders: dict[int, Hashable] = {}
        found = []
        for number, batch in enumerate(self._capsule.batches):
            if batch.source not in loaders:
                loaders[batch.source] = self._loader_of(batch.fits, set(loaders.values()), number)
            source = loaders[batch.source]
            whole = batch.as_in(self._examples[source])
            random = self._for_this_machine(batch.random)
            found.append(HandOut(source, whole, random, versions_in(whole), used=True))
        return found

    def _loader_of(self, fits: Callable[[object], bool], taken: set[Hashable], number: int) -> Hashable:
        for source, example in self._examples.items():
            if source not in taken and fits(example):
                return source
        raise UsageError(
            f"none of the program's {len(self._examples)} loaders hands out batches like batch {number} of the capsule "
            "(containers, names, dtypes and dimensions). Use the program as it was, or add --from start"
        )

    def _for_this_machine(self, random: RandomState) -> RandomState:
        num_devices = torch.cuda.device_count()
        if len(random.devices) in (0, num_devices):
            return random
        note = f"random states of {len(random.devices)} accelerators were not put back: there are {num_devices} here"
        if note not in self._notes:
            self._notes.append(note)
        return replace(random, devices=())

    def _arrive(self, rewind: Rewind) -> None:
        if not rewind.consumed:
            self._refuse("the loop made the update without taking the captured batches")
        again = self._loop.judge.exactly(rewind.updater)
        self._in_force.close()
        change = self._change
        self.verdict = Verdict(
            outcome=outcome_of(self._capsule.manifest.seen, again, self._names),
            names=() if again is None else named(again, self._names),
            loss=self._loop.heard.last_loss,
            changed="" if change is None else change.changed,
            took_effect=change is None or change.took_effect,
            notes=tuple(self._notes),
        )
        raise TrainingStopped(self._loop.step)

    def _put_in_force(self) -> None:
        if self._change is not None and not self._is_in_force:
            self._is_in_force = True
            self._in_force.enter_context(self._change.during())

    def _refuse(self, why: str) -> None:
        self._in_force.close()
        self.refusal = UsageError(f"the captured step did not come: {why}. Add --from start")
        raise TrainingStopped(self._loop.step)
