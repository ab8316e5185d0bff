"""What several tests of this room need: random states put back, and a listener that notes what it hears."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from evenkeel.step.listener import ClearedTo, Schedule
from evenkeel.step.snapshot import RandomState
from evenkeel.step.updater import Updater


@dataclass(slots=True)
class Heard:
    """A listener that writes down every event; `again` and `still` are its answers."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    again: list[object] = field(default_factory=list)  # batches to hand out once more, first one first
    still: bool = False
    indices: list[tuple[int, ...]] = field(default_factory=list)  # of the batches' rows in their data set

    @property
    def words(self) -> list[str]:
        """The names of the events."""
        return [event[0] for event in self.events]

    def forward_begins(self) -> None:
        """Note it."""
        self.events.append(("forward",))

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """Hand out what is waiting."""
        self.events.append(("asked", source))
        return (self.again.pop(0),) if self.again else None

    def batch_handed_out(self, source: Hashable, batch: object, indices: Sequence[int]) -> None:
        """Note the batch."""
        self.events.append(("batch", source, batch))
        self.indices.append(tuple(indices))

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """Note the losses."""
        self.events.append(("backward", losses))

    def backward_ended(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> None:
        """Note what the gradients were computed for, when it was said."""
        self.events.append(("ended", tuple(leaves), gradients))

    def clipping(self, parameters: Sequence[Tensor], norm: Tensor, normed: Sequence[Tensor] | None) -> None:
        """Note everything."""
        self.events.append(("clipping", parameters, norm, normed))

    def loss_scaled(self, loss: Tensor, product: Tensor) -> None:
        """Note both."""
        self.events.append(("scaled", loss, product))

    def scaler_steps(self, scaler: GradScaler) -> None:
        """Note the scaler."""
        self.events.append(("scaler", scaler))

    def update_refused(self, updater: Updater) -> None:
        """Note the optimizer."""
        self.events.append(("refused", updater))

    def gradients_cleared(self, to: ClearedTo) -> None:
        """Note what became of them."""
        self.events.append(("cleared", to))

    def before_update(self, optimizer: Updater) -> None:
        """Note the optimizer."""
        self.events.append(("before", optimizer))

    def evaluation_begins(self) -> None:
        """Note it."""
        self.events.append(("evaluation",))

    def evaluation_ended(self) -> None:
        """Note it."""
        self.events.append(("evaluated",))

    def after_update(self, optimizer: Updater) -> None:
        """Note the optimizer."""
        self.events.append(("after", optimizer))

    def schedule_moves(self, schedule: Schedule) -> None:
        """Note it."""
        self.events.append(("moves", schedule))

    def holds_still(self) -> bool:
        """Answer as told."""
        return self.still


@pytest.fixture
def heard() -> Heard:
    """A fresh listener."""
    return Heard()


@pytest.fixture(autouse=True)
def _random_states_put_back() -> Iterator[None]:
    """No test of this room changes the random states of another."""
    before = RandomState.capture()
    yield
    before.restore()
