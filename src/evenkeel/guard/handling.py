"""What is done about a bad step: it comes again, is explained and written down, and then the policy decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from evenkeel.casefile.scene import Replay
from evenkeel.casefile.trials import Tried
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.events import StepSkipped
from evenkeel.core.incident import Incident
from evenkeel.core.settings import Policy
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.incidents import Incidents, Record
from evenkeel.guard.leaving import Leaving
from evenkeel.guard.loop import Loop
from evenkeel.guard.repetition import Repetition
from evenkeel.guard.replaying import Replaying
from evenkeel.guard.trials import Trials
from evenkeel.guard.trying import Trying
from evenkeel.guard.watching import Noting
from evenkeel.locate.observation import Observation
from evenkeel.step.updater import Updater, withhold

Enter = Callable[[Replaying | Trying | Leaving | Noting], None]
Resume = Callable[[Updater], None]

_UPDATE_AT_FAULT = "not repeated: the update was at fault, and it has been made"
_RUN_GOES_ON = "not repeated here: the run goes on"


class Handling:
    """Leads a guard from the sight of a bad step to where it watches again, or to the end of training."""

    def __init__(self, loop: Loop, record: Record, policy: Policy, *, enter: Enter, resume: Resume) -> None:
        """`enter` puts the guard into a state; `resume` has it watch again, with an update about to be made."""
        self.incidents = Incidents(record)
        self._loop = loop
        self._journal = record.journal
        self._ranks = record.ranks
        self._policy = policy
        self._changes = record.changes
        self._enter = enter
        self._resume = resume
        self._num_skipped = 0

    def found(self, sighting: Sighting | None, updater: Updater) -> None:
        """A step is bad, here or (None) on another rank; its update is withheld."""
        self.incidents.note(self._loop.step, sighting)
        if self.goes_on():
            self._conclude(sighting, Replay(how=_RUN_GOES_ON, likeness="none"), updater)
            return
        repetition = Repetition(self._loop, updater, self._ranks)
        ended = partial(self._replay_ended, sighting, repetition)
        replaying = Replaying(self._loop, sighting, repetition, Observation(self._loop.names), ended)
        self._enter(replaying)
        obstacle = replaying.obstacle()
        if self._ranks.verdict(updater, bad=obstacle is not None):
            replaying.give_up(obstacle or "another rank cannot repeat it")
        else:
            replaying.begin()

    def goes_on(self) -> bool:
        """Whether a bad update is made as it was and the step repeated elsewhere: here it would cost an iteration."""
        return self._policy.name == "observe" and self.incidents.are_repeated_elsewhere

    def born_in_update(self, sighting: Sighting, updater: Updater) -> None:
        """An update that has been made was at fault: there is nothing left to skip."""
        self.incidents.note(self._loop.step, sighting)
        self._conclude(sighting, Replay(how=_UPDATE_AT_FAULT, likeness="none"), updater)
        if self._policy.name != "observe":
            raise TrainingStopped(self._loop.step)

    def _replay_ended(self, sighting: Sighting | None, repetition: Repetition, replay: Replay) -> None:
        """Explain the step; then have it come again with one thing changed, as often as there are things to try."""
        scene = self._loop.scene(repetition.updater)
        self._enter(Noting(self._loop, self._journal))
        incident = self.incidents.examine(sighting, replay, scene)
        changes = self._changes(incident, replay, scene) if self._may_try(repetition) else ()
        trials = Trials(self._loop, repetition, changes, partial(self._tried, incident, repetition))
        trials.next(self._enter)

    def _may_try(self, repetition: Repetition) -> bool:
        """Not where the update under way is going to be made, nor where other ranks would not repeat the step too."""
        is_together = self._ranks.size == 1 or self._ranks.share(repetition.updater)
        return is_together and not repetition.is_astray and self._policy.name != "observe"

    def _tried(self, incident: Incident | None, repetition: Repetition, tried: Tried) -> None:
        self._enter(Noting(self._loop, self._journal))
        self._settle(incident, tried, repetition)

    def _settle(self, incident: Incident | None, tried: Tried, repetition: Repetition) -> None:
        """Write the case down, then do as the policy says."""
        updater = repetition.updater
        self._write_down(incident, tried, updater)
        if self._policy.name == "observe":
            return
        self._count_skip()
        if repetition.is_astray:  # what stands before its update is another step
            self._loop.leave_out(updater)
            self._resume(updater)
        else:
            withheld = withhold(updater) if repetition.update_is_under_way else None
            self._enter(Leaving(self._loop, repetition.rewind, withheld))

    def _conclude(self, sighting: Sighting | None, replay: Replay, updater: Updater) -> None:
        """Explain a step that does not come again here."""
        self._write_down(self.incidents.examine(sighting, replay, self._loop.scene(updater)), Tried(), updater)
        self._enter(Noting(self._loop, self._journal))

    def _write_down(self, incident: Incident | None, tried: Tried, updater: Updater) -> None:
        if incident is not None and self._policy.name != "observe":
            incident = self.incidents.with_remedy(incident, tried)
        self.incidents.conclude(incident, self._loop.step, updater)
        if self._policy.name == "stop":
            raise TrainingStopped(self._loop.step)

    def _count_skip(self) -> None:
        if self._num_skipped == self._policy.at_most:
            raise TrainingStopped(self._loop.step)
        self._num_skipped += 1
        self._journal.write(StepSkipped(step=self._loop.step, num_skipped=self._num_skipped))
