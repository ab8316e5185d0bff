"""The replay of one step through the user's own loop: what is to come again, and how far it has come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import torch
from torch.optim import Optimizer

from evenkeel.step.snapshot import BufferCopy
from evenkeel.step.window import HandOut, Window


@dataclass(slots=True)
class Rewind:
    """The state that makes the failing step come again: its window, put back piece by piece as the loop asks for it.

    The loop may make other updates before it reaches the failing one (the discriminator's before the generator's).
    Those were applied already and are withheld; after each, random states and buffers return to the step's beginning.
    """

    optimizer: int  # id() of the optimizer whose step failed
    position: int  # how many updates the loop makes before it
    window: Window
    buffers: BufferCopy
    passed: int = 0
    overrun: bool = False  # the loop asked for more than the step had consumed
    began: bool = False  # the replayed step's first batch went out, or it needs none
    _waiting: dict[Hashable, deque[HandOut]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        """Line up the batches by their source."""
        for hand_out in self.window.hand_outs:
            self._waiting[hand_out.source].append(hand_out)
        self.began = not self.window.hand_outs

    @property
    def possible(self) -> bool:
        """Whether the batches are as they were handed out."""
        return all(h.intact for h in self.window.hand_outs)

    def put_back(self) -> None:
        """Random states and buffers as they were when the failing step began."""
        self.window.random.restore()
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

    def arrives(self, optimizer: Optimizer) -> bool:
        """Whether the update that is about to happen is the failing one."""
        right = id(optimizer) == self.optimizer
        return right and (not self.window.hand_outs or self.passed == self.position)


def forget_gradients(optimizers: Iterable[Optimizer]) -> None:
    """Set the gradients of all parameters to None, as at the beginning of a step."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)


@dataclass(slots=True)
class Withheld:
    """An update that shall not happen: the gradients are hidden, so that any optimizer skips every parameter."""

    optimizer: Optimizer
    _hidden: list[tuple[object, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Hide the gradients."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                self._hidden.append((parameter, parameter.grad))
                parameter.grad = None

    def release(self) -> None:
        """Show the gradients again, for a loop that looks at them after the step."""
        for parameter, gradient in self._hidden:
            parameter.grad = gradient  # type: ignore[attr-defined]  # parameters, kept loosely for sparse gradients
        self._hidden.clear()
