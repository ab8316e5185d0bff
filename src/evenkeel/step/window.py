"""The window: what the current step has consumed so far."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from evenkeel.step.listener import ClearedTo
from evenkeel.step.snapshot import RandomState
from evenkeel.tensors.trees import named_tensors, same_tensors, versions_in

_MOST_UNUSED = 8  # batches kept that no backward followed yet: an evaluation loop must not fill the memory


@dataclass(slots=True)
class HandOut:
    """A batch as it was handed to the loop, and the random states at that moment."""

    source: Hashable
    batch: object
    random: RandomState
    versions: tuple[int, ...]
    indices: Sequence[int] = ()  # of its rows in the data set, where the sampler told
    used: bool = False  # a backward followed
    spent: bool = False  # its gradients were cleared: whatever is applied next does not come from it

    @classmethod
    def of(cls, source: Hashable, batch: object, earlier: RandomState, indices: Sequence[int] = ()) -> HandOut:
        """Note a batch that is about to be handed out; `earlier` are random states from before it."""
        kept = same_tensors(batch)
        return cls(source, kept, RandomState.capture(earlier), versions_in(kept), indices)

    def again(self) -> object:
        """The same batch in fresh containers, with the random states put back."""
        self.random.restore()
        return same_tensors(self.batch)

    @property
    def intact(self) -> bool:
        """Whether nobody wrote into the batch's tensors since it was handed out."""
        return self.versions == versions_in(self.batch)

    def tensors(self, name: str) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of the batch with its name."""
        return named_tensors(self.batch, name)


@dataclass(slots=True)
class Window:
    """Batches since the loop last came for one after an update, and the updates made since (several in a GAN).

    `random` are the states when the step began, that is, right after the previous update. In a loop with a loader and
    one update a batch they are not taken: there the states that count are those of the first batch.
    Memory: the batches of one step; nothing that grows with steps.
    """

    hand_outs: list[HandOut] = field(default_factory=list)
    updates: list[int] = field(default_factory=list)  # id() of each optimizer that stepped since the first hand-out
    random: RandomState = field(default_factory=RandomState.capture)
    random_is_current: bool = True
    random_before: RandomState | None = None  # of the first step, which may begin before any forward: see `Rewind`
    latest: RandomState = field(default_factory=RandomState.capture)  # taken last, to share what has not changed
    num_updates: int = 2  # of the window before; at first there may be several
    cleared_to: ClearedTo = "none"  # what `zero_grad()` made of gradients when it was last called

    def with_own_lists(self) -> Window:
        """The window as it is now, which later batches and updates do not change."""
        return replace(self, hand_outs=list(self.hand_outs), updates=list(self.updates))

    @property
    def consumed(self) -> tuple[HandOut, ...]:
        """The batches of the step under way, without those whose gradients were thrown away before the others came."""
        return tuple(h for h in self.hand_outs if not h.spent) or tuple(self.hand_outs)

    def handed_out(self, source: Hashable, batch: object, indices: Sequence[int] = ()) -> bool:
        """Note a batch. Returns: whether it begins a new window, being the first after an update."""
        if not torch.is_grad_enabled():  # an evaluation loop: no step consumes this batch
            return False
        is_first = bool(self.updates)
        if is_first:
            self.num_updates = len(self.updates)
            self.hand_outs.clear()
            self.updates.clear()
        elif self.hand_outs:
            self.hand_outs = [h for h in self.hand_outs if not h.spent]
        hand_out = HandOut.of(source, batch, self.latest, indices)
        self.latest = hand_out.random
        self.hand_outs.append(hand_out)
        if len(self.hand_outs) > _MOST_UNUSED:
            self._forget_unused()
        return is_first

    def _forget_unused(self) -> None:
        unused = [h for h in self.hand_outs if not h.used]
        if len(unused) > _MOST_UNUSED:
            self.hand_outs.remove(unused[0])

    def backward_began(self) -> None:
        """Mark all batches so far as used."""
        for hand_out in self.hand_outs:
            hand_out.used = True

    def gradients_cleared(self, to: ClearedTo) -> None:
        """The batches used so far go with the next one: a step that was computed and thrown away leaves nothing."""
        self.cleared_to = to
        for hand_out in self.hand_outs:
            hand_out.spent = hand_out.used and not self.updates  # after an update, another one may use the batch too

    def updated(self, optimizer: int) -> None:
        """Close a step: the next one begins with the random states of now."""
        self.updates.append(optimizer)
        self.random_before = None
        self.random_is_current = not self.hand_outs or max(self.num_updates, len(self.updates)) > 1
        if self.random_is_current:
            self.random = self.latest = RandomState.capture(self.latest)
