"""What a training loop does, as it is told to whoever listens."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import LRScheduler

from evenkeel.step.updater import Updater

ClearedTo = Literal["none", "zero"]
Schedule = LRScheduler  # ReduceLROnPlateau is one


@runtime_checkable
class StepListener(Protocol):
    """What is told about a training loop as it runs."""

    def forward_begins(self) -> None:
        """The first forward of any module of the process begins."""

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """A batch is asked for: return (batch,) to hand that one out, None to let a fresh one be fetched."""

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int]) -> None:
        """A fresh batch is on its way to the loop; `indices` are its rows' in the data set, empty when not known."""

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """Gradients of these tensors are about to be computed."""

    def backward_ended(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> None:
        """They were computed.

        Args:
            leaves: what they were computed for by `torch.autograd.grad`; empty after `backward`, which finds them.
            gradients: those of the leaves, when they were returned and not left in `.grad`.
        """

    def loss_scaled(self, loss: Tensor, product: Tensor) -> None:
        """A gradient scaler made `product` of a loss, for backward to start from."""

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """Gradients are about to be multiplied by a factor made of `norm`.

        Args:
            parameters: whose gradients.
            norm: 0-d, not yet read.
            normed: the gradients of which it is the norm, where torch computed it; finite exactly if they all are,
                unless their squares overflow.
        """

    def gradients_cleared(self, to: ClearedTo) -> None:
        """`zero_grad()` was called on an optimizer or a module: what was computed before is not applied."""

    def before_update(self, updater: Updater) -> None:
        """`optimizer.step()` begins; with a closure, its first evaluation has just ended."""

    def evaluation_begins(self) -> None:
        """The optimizer evaluates its closure once more, at other parameters."""

    def evaluation_ended(self) -> None:
        """That is over, and the update goes on."""

    def after_update(self, updater: Updater) -> None:
        """`optimizer.step()` ended."""

    def scaler_steps(self, scaler: GradScaler) -> None:
        """A gradient scaler is about to make or refuse an update."""

    def update_refused(self, updater: Updater) -> None:
        """It found a gradient that is not finite, and made no update."""

    def schedule_moves(self, schedule: Schedule) -> None:
        """A schedule of learning rates is about to advance."""

    def holds_still(self) -> bool:
        """Whether schedules, scales and averages must not advance now."""
