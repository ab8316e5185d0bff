"""The listener of a replay: it follows the program's loop as a guard does, and asks a stage what to do."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.guard.hands import Hands
from evenkeel.guard.loop import Loop
from evenkeel.step.listener import ClearedTo, Schedule
from evenkeel.step.updater import ByHand, Updater


class Stage(Protocol):
    """What a replay does with the loop."""

    @property
    def is_repeating(self) -> bool:
        """Whether the captured step is under way, and nothing else may move."""

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """See `StepListener`."""

    def batch_handed_out(self, source: Hashable, batch: object) -> None:
        """A batch of the program's own goes to the loop."""

    def before_update(self, updater: Updater) -> None:
        """See `StepListener`; a backward of a loop without optimizer counts too."""

    def after_update(self, updater: Updater) -> None:
        """See `StepListener`."""

    def update_refused(self, updater: Updater) -> None:
        """See `StepListener`."""


class Following:
    """Passes what is heard to the loop and to the stage. Updates by hand end where the loop begins something new."""

    def __init__(self, loop: Loop, stage: Stage) -> None:
        """Follow `loop`."""
        self._loop = loop
        self._stage = stage
        self._hands = Hands()
        self._by_hand: ByHand | None = None
        self._backward_from: tuple[Tensor, ...] = ()
        self._is_known = False

    def forward_begins(self) -> None:
        """The models exist now."""
        self._get_to_know()

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """See `StepListener`."""
        self.end_by_hand()
        return self._stage.batch_again(source)

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int]) -> None:
        """See `StepListener`."""
        if not self._stage.is_repeating:
            self._get_to_know()
            self._loop.batch_handed_out(source, batch, indices)
            self._stage.batch_handed_out(source, batch)

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """See `StepListener`."""
        self._get_to_know()
        self.end_by_hand()
        self._loop.heard_loss(losses)
        self._backward_from = losses

    def backward_ended(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> None:
        """See `StepListener`."""
        losses, self._backward_from = self._backward_from, ()
        updater = self._hands.updater_after(losses, leaves, gradients)
        if updater is not None:
            self._stage.before_update(updater)
            self._by_hand = updater

    def loss_scaled(self, loss: Tensor, product: Tensor) -> None:
        """See `StepListener`."""
        self._loop.heard.scaled(loss, product)

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """See `StepListener`."""
        self._loop.judge.clipping(parameters, norm, normed)

    def gradients_cleared(self, to: ClearedTo) -> None:
        """See `StepListener`."""
        self.end_by_hand()
        if self._stage.is_repeating:
            self._loop.heard.clear()
        else:
            self._loop.gradients_cleared(to)

    def before_update(self, updater: Updater) -> None:
        """See `StepListener`."""
        self._get_to_know()
        self._hands.are_at_work = False
        self._stage.before_update(updater)

    def evaluation_begins(self) -> None:
        """See `StepListener`."""

    def evaluation_ended(self) -> None:
        """See `StepListener`."""

    def after_update(self, updater: Updater) -> None:
        """See `StepListener`."""
        self._stage.after_update(updater)

    def scaler_steps(self, scaler: GradScaler) -> None:
        """See `StepListener`."""
        self._loop.scaler = scaler

    def update_refused(self, updater: Updater) -> None:
        """See `StepListener`."""
        self._get_to_know()
        self._hands.are_at_work = False
        self._stage.update_refused(updater)

    def schedule_moves(self, schedule: Schedule) -> None:
        """See `StepListener`."""

    def holds_still(self) -> bool:
        """See `StepListener`."""
        return self._stage.is_repeating

    def end_by_hand(self) -> None:
        """The loop begins something new, or is over."""
        if self._by_hand is not None:
            updater, self._by_hand = self._by_hand, None
            self._stage.after_update(updater)

    def _get_to_know(self) -> None:
        if not self._is_known:
            self._is_known = True
            self._loop.begin_step()
