"""The listener behind `Guard` and `evenkeel run`: it passes events to the state it is in."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.core.incident import Incident
from evenkeel.core.settings import Policy
from evenkeel.guard.handling import Handling
from evenkeel.guard.hands import Hands
from evenkeel.guard.incidents import Record
from evenkeel.guard.late import LateWatching
from evenkeel.guard.leaving import Leaving
from evenkeel.guard.loop import Loop
from evenkeel.guard.replaying import Replaying
from evenkeel.guard.trying import Trying
from evenkeel.guard.watching import Noting, Watching
from evenkeel.step.listener import ClearedTo, Schedule
from evenkeel.step.snapshot import RandomState
from evenkeel.step.updater import ByHand, Updater
from evenkeel.tensors.trees import same_tensors

_STILL = (Replaying, Trying, Leaving)


class GuardedLoop:
    """Passes what is heard of a training loop to the state that the guard is in."""

    def __init__(self, loop: Loop, record: Record, policy: Policy) -> None:
        """Begin watching `loop`."""
        self.loop = loop
        self.only: frozenset[int] | None = None  # id() of the optimizers to guard; None: all
        self._journal = record.journal
        self._ranks = record.ranks
        self._policy = policy
        self._handling = Handling(loop, record, policy, enter=self._enter, resume=self._resume)
        self._hands = Hands()
        self._by_hand: ByHand | None = None  # an update by hand is under way
        self._backward_from: tuple[Tensor, ...] = ()
        self._judged_at_once: Updater | None = None  # the last one that cannot be judged late
        self._is_known = False
        self._random_at_optimizer: RandomState | None = None
        handle = self._handling
        self._watching = Watching(
            loop, record, found=handle.found, born_in_update=handle.born_in_update, goes_on=handle.goes_on
        )
        self._late = LateWatching(
            loop, record, self._watching, found=handle.found, born_in_update=handle.born_in_update
        )
        self._state: Watching | LateWatching | Replaying | Trying | Leaving | Noting = self._watching

    @property
    def incident(self) -> Incident | None:
        """The first incident, when there was one and it was written by this rank."""
        return self._handling.incidents.first

    def optimizer_made(self) -> None:
        """Until the first forward: the first step may have begun, and may draw its data."""
        if not self._is_known:
            self._random_at_optimizer = RandomState.capture()

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
            self.loop.begin_step(self._random_at_optimizer)
            self._random_at_optimizer = None

    def _next_step_shows(self) -> None:
        """The loop begins something new: an update by hand is over, and so is a step that was left out."""
        self._end_by_hand()
        if isinstance(self._state, Leaving) and self._state.done:
            self._state = self._watching

    def _end_by_hand(self) -> None:
        if self._by_hand is not None:
            updater, self._by_hand = self._by_hand, None
            self._state.after_update(updater)

    def _enter(self, state: Replaying | Trying | Leaving | Noting) -> None:
        self._state = state

    def _resume(self, updater: Updater) -> None:
        self._state = self._watching
        self._watching.before_update(updater)
