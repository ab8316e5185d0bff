"""The replay of one step through the user's own loop: what is to come again, and how far it has come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field

import torch

from evenkeel.step.snapshot import BufferCopy, RandomState
from evenkeel.step.updater import Updater
from evenkeel.step.window import HandOut, Window


@dataclass(slots=True)
class Rewind:
    """The state that makes the failing step come again: its window, put back piece by piece as the loop asks for it.

    The loop may make other updates before it reaches the failing one (the discriminator's before the generator's).
    Those were applied already and are withheld; after each, random states and buffers return to the step's beginning.
    """

    updater: Updater  # whose step failed
    position: int  # how many updates the loop makes before it
    window: Window
    buffers: BufferCopy
    passed: int = 0
    overrun: bool = False  # the loop asked for more than the step had consumed
    began: bool = False  # the replayed step's first batch went out, or it needs none
    _waiting: dict[Hashable, deque[HandOut]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        """Line up the batches by their source."""
        for hand_out in self.window.consumed:
            self._waiting[hand_out.source].append(hand_out)
        self.began = not self._waiting

    def from_start(self) -> Rewind:
        """The same once more, from the beginning of the step."""
        return Rewind(self.updater, self.position, self.window, self.buffers)

    @property
    def consumed(self) -> bool:
        """Whether the loop took every batch again."""
        return not any(self._waiting.values())

    @property
    def possible(self) -> bool:
        """Whether the batches are as they were handed out."""
        return all(h.intact for h in self.window.consumed)

    def put_back(self) -> None:
        """Random states and buffers as they were when the failing step began.

        When the first one began nobody heard: before its first forward, which may be after its data was drawn. It is
        taken to have begun when the last optimizer was made. Where that is wrong, other data comes, and is told so.
        """
        self._put_back(self.window.random_before or self.window.random)

    def put_back_to_batch(self) -> None:
        """Random states as they were when the step's first batch was handed out; buffers as when it began.

        That is where a loop stands that leaves the batch out.
        """
        self._put_back(self.window.random)
        if self.window.consumed and not self.window.updates:
            self.window.consumed[0].random.restore()

    def _put_back(self, random: RandomState) -> None:
        if self.window.random_is_current:
            random.restore()
        self.buffers.restore()

    def next_batch(self, source: Hashable) -> HandOut | None:
        """The batch to hand out again; None lets the loader fetch a fresh one (an evaluation loop, say)."""
        if source not in self._waiting or not torch.is_grad_enabled():
            return None
        if not self._waiting[source]:
            self.overrun = True
            return None
        self.began = True
        return self._waiting[source].popleft()

    def arrives(self, updater: Updater) -> bool:
        """Whether the update that is about to happen is the failing one."""
        right = updater is self.updater
        return right and (not self._waiting or self.passed == self.position)
