"""The listener behind `Guard` and `evenkeel run`: it passes events to the state it is in, and ends incidents."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.casefile.scene import Replay
from evenkeel.casefile.trials import change_to_try, with_experiment
from evenkeel.core.errors import TrainingStopped
from evenkeel.core.events import StepSkipped
from evenkeel.core.incident import Experiment, Incident
from evenkeel.core.settings import Policy
from evenkeel.detect.nonfinite import Sighting
from evenkeel.guard.hands import Hands
from evenkeel.guard.incidents import Incidents, Record
from evenkeel.guard.late import LateWatching
from evenkeel.guard.leaving import Leaving
from evenkeel.guard.loop import Loop
from evenkeel.guard.repetition import Repetition
from evenkeel.guard.replaying import Replaying
from evenkeel.guard.trying import Trying
from evenkeel.guard.watching import Noting, Watching
from evenkeel.locate.observation import Observation
from evenkeel.step.listener import ClearedTo, Schedule
from evenkeel.step.updater import ByHand, Updater, withhold
from evenkeel.tensors.trees import same_tensors

_STILL = (Replaying, Trying, Leaving)
_UPDATE_AT_FAULT = "not repeated: the update was at fault, and it has been made"
_RUN_GOES_ON = "not repeated here: the run goes on"


class GuardedLoop:
    """The listener behind `Guard` and `evenkeel run`: it passes events to the state it is in, and ends incidents."""

    def __init__(self, loop: Loop, record: Record, policy: Policy) -> None:
        """Begin watching `loop`."""
        self.loop = loop
        self.only: frozenset[int] | None = None  # id() of the optimizers to guard; None: all
        self._journal = record.journal
        self._ranks = record.ranks
        self._policy = policy
        self._incidents = Incidents(record)
        self._hands = Hands()
        self._by_hand: ByHand | None = None  # an update by hand is under way
        self._backward_from: tuple[Tensor, ...] = ()
        self._judged_at_once: Updater | None = None  # the last one that cannot be judged late
        self._is_known = False
        self._num_skipped = 0
        self._watching = Watching(
            loop, record, found=self._found, born_in_update=self._born_in_update, goes_on=self._goes_on
        )
        self._late = LateWatching(loop, record, self._watching, found=self._found, born_in_update=self._born_in_update)
        self._state: Watching | LateWatching | Replaying | Trying | Leaving | Noting = self._watching
        self._sighting: Sighting | None = None

    @property
    def incident(self) -> Incident | None:
        """The first incident, when there was one and it was written by this rank."""
        return self._incidents.first

    def forward_begins(self) -> None:
        """The first forward of a module: the models exist now."""
        self._get_to_know()

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """See `StepListener`."""
        if self._state is not self._watching or self._by_hand is not None:
            self._next_step_shows()
        if isinstance(self._state, Replaying | Trying):
            return self._state.batch_again(source)
        if not self._late.owed:
            return None
        owed = self._late.batch_owed(source)
        if owed is None:
            return None
        self.loop.batch_handed_out(source, owed.batch, owed.indices)
        return (same_tensors(owed.batch),)

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int]) -> None:
        """See `StepListener`."""
        if not isinstance(self._state, Replaying | Trying):
            if not self._is_known:
                self._get_to_know()
            self.loop.batch_handed_out(source, batch, indices)

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """See `StepListener`."""
        if not self._is_known:
            self._get_to_know()
        if self._state is not self._watching or self._by_hand is not None:
            self._next_step_shows()
        self.loop.heard_loss(losses)
        self._backward_from = losses
        if isinstance(self._state, Replaying):
            self._state.backward_begins(losses)

    def backward_ended(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> None:
        """See `StepListener`."""
        losses, self._backward_from = self._backward_from, ()
        if self._hands.are_at_work is False:
            return
        updater = self._hands.updater_after(losses, leaves, gradients)
        if updater is not None and self.only is None:
            self._state.before_update(updater)
            self._by_hand = updater
            if isinstance(self._state, Watching | LateWatching) and not self._state.withholds:
                self._end_by_hand()

    def loss_scaled(self, loss: Tensor, product: Tensor) -> None:
        """See `StepListener`."""
        self.loop.heard.scaled(loss, product)

    def scaler_steps(self, scaler: GradScaler) -> None:
        """See `StepListener`."""
        self.loop.scaler = scaler

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """See `StepListener`."""
        self.loop.judge.clipping(parameters, norm, normed)
        if not isinstance(self._state, Replaying | Trying):
            self.loop.heard.norm_taken(parameters, norm)

    def gradients_cleared(self, to: ClearedTo) -> None:
        """See `StepListener`."""
        if self._by_hand is not None:
            self._end_by_hand()
        if isinstance(self._state, _STILL):  # the window is that of the bad step, and stays so
            self.loop.heard.clear()
        else:
            self.loop.gradients_cleared(to)

    def before_update(self, updater: Updater) -> None:
        """See `StepListener`."""
        if self.only is None or id(updater) in self.only:
            if not self._is_known:
                self._get_to_know()
            self._hands.are_at_work = False
            if self._state is self._watching and updater is not self._judged_at_once:
                self._choose(updater)
            self._state.before_update(updater)

    def evaluation_begins(self) -> None:
        """See `StepListener`."""

    def evaluation_ended(self) -> None:
        """See `StepListener`."""

    def after_update(self, updater: Updater) -> None:
        """See `StepListener`."""
        if self.only is None or id(updater) in self.only:
            self._state.after_update(updater)

    def update_refused(self, updater: Updater) -> None:
        """See `StepListener`."""
        if self.only is None or id(updater) in self.only:
            self._get_to_know()
            self._hands.are_at_work = False
            self._state.update_refused(updater)

    def schedule_moves(self, schedule: Schedule) -> None:
        """See `StepListener`."""
        if self._state is self._late:
            self._late.schedule_moves(schedule)

    def holds_still(self) -> bool:
        """See `StepListener`."""
        return isinstance(self._state, _STILL)

    def finish(self, how: str = "the loop ended") -> None:
        """The program ended: a replay that is still waited for will not come."""
        self._end_by_hand()
        if self._state is self._late:
            self._late.finish()
        if isinstance(self._state, Replaying):
            self._state.give_up(f"{how} before the step came again")
        if isinstance(self._state, Trying):
            self._state.give_up()
        self._journal.flush()

    def _choose(self, updater: Updater) -> None:
        """Let the verdict on an update arrive after it where it can, unless others have to know it before."""
        may_be_late = self._policy.name != "observe" and not self._ranks.share(updater)
        if may_be_late and self.loop.judge.can_be_late(updater):
            self._state = self._late
        else:
            self._judged_at_once = updater

    def _get_to_know(self) -> None:
        if not self._is_known:
            self._is_known = True
            self.loop.begin_step()

    def _next_step_shows(self) -> None:
        """The loop begins something new: an update by hand is over, and so is a step that was left out."""
        self._end_by_hand()
        if isinstance(self._state, Leaving) and self._state.done:
            self._state = self._watching

    def _end_by_hand(self) -> None:
        if self._by_hand is not None:
            updater, self._by_hand = self._by_hand, None
            self._state.after_update(updater)

    def _found(self, sighting: Sighting | None, updater: Updater) -> None:
        self._sighting = sighting
        self._incidents.note(self.loop.step, sighting)
        if self._goes_on():
            self._conclude(Replay(how=_RUN_GOES_ON, reproduced=False), updater)
            self._state = Noting(self.loop, self._journal)
            return
        repetition = Repetition(self.loop, updater)
        replaying = Replaying(self.loop, sighting, repetition, Observation(self.loop.names), self._replay_ended)
        self._state = replaying
        obstacle = replaying.obstacle()
        if self._ranks.verdict(updater, bad=obstacle is not None):
            replaying.give_up(obstacle or "another rank cannot repeat it")
        else:
            replaying.begin()

    def _goes_on(self) -> bool:
        """Whether a bad update is made as it was and the step repeated elsewhere: here it would cost an iteration."""
        return self._policy.name == "observe" and self._incidents.are_repeated_elsewhere

    def _born_in_update(self, sighting: Sighting, updater: Updater) -> None:
        self._sighting = sighting
        self._incidents.note(self.loop.step, sighting)
        self._conclude(Replay(how=_UPDATE_AT_FAULT, reproduced=False), updater)
        if self._policy.name != "observe":  # there is nothing left to skip
            raise TrainingStopped(self.loop.step)
        self._state = Noting(self.loop, self._journal)

    def _replay_ended(self, replay: Replay) -> None:
        """Explain the step; where single samples are suspected, have it come once more without them."""
        replaying = self._state
        if not isinstance(replaying, Replaying):
            return
        repetition = replaying.repetition
        scene = self.loop.scene(repetition.updater)
        self._state = Noting(self.loop, self._journal)
        incident = self._incidents.examine(self._sighting, replay, scene)
        change = change_to_try(incident, scene) if self._may_try(replay, repetition.updater) else None
        if self._ranks.verdict(repetition.updater, bad=change is not None):
            ended = partial(self._trial_ended, incident)
            self._state = trying = Trying(self.loop, repetition, change, ended)
            trying.begin()
        else:
            self._settle(incident, repetition)

    def _may_try(self, replay: Replay, updater: Updater) -> bool:
        """Not where the update under way is going to be made, nor where other ranks would not repeat the step too."""
        is_together = self._ranks.size == 1 or self._ranks.share(updater)
        return replay.reproduced and is_together and self._policy.name != "observe"

    def _trial_ended(self, incident: Incident | None, tried: Experiment | None) -> None:
        trying = self._state
        if isinstance(trying, Trying):
            self._state = Noting(self.loop, self._journal)
            self._settle(incident if tried is None else with_experiment(incident, tried), trying.repetition)

    def _settle(self, incident: Incident | None, repetition: Repetition) -> None:
        """Write the case down, then do as the policy says."""
        updater = repetition.updater
        self._write_down(incident, updater)
        if self._policy.name == "observe":
            return
        self._count_skip()
        if repetition.is_astray:  # what stands before its update is another step
            self.loop.leave_out(updater)
            self._state = self._watching
            self._watching.before_update(updater)
        else:
            withheld = withhold(updater) if repetition.update_is_under_way else None
            self._state = Leaving(self.loop, repetition.rewind, withheld)

    def _conclude(self, replay: Replay, updater: Updater) -> None:
        """Explain a step that does not come again here."""
        self._write_down(self._incidents.examine(self._sighting, replay, self.loop.scene(updater)), updater)

    def _write_down(self, incident: Incident | None, updater: Updater) -> None:
        self._incidents.conclude(incident, self.loop.step, updater)
        if self._policy.name == "stop":
            raise TrainingStopped(self.loop.step)

    def _count_skip(self) -> None:
        if self._num_skipped == self._policy.at_most:
            raise TrainingStopped(self.loop.step)
        self._num_skipped += 1
        self._journal.write(StepSkipped(step=self.loop.step, num_skipped=self._num_skipped))
