"""What torch moves along with a step, held still while a step is repeated or left out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel

from evenkeel.step.listener import Schedule, StepListener
from evenkeel.step.patching import Wrap, patched_tree


class ScheduleState:
    """Where a schedule of learning rates stands, so that it can go back there."""

    def __init__(self, schedule: Schedule) -> None:
        """Copy it."""
        self._schedule = schedule
        self._state = {name: copy.copy(vars(schedule)[name]) for name in schedule.state_dict()}
        self._rates = [(group, group["lr"]) for group in schedule.optimizer.param_groups]

    def put_back(self) -> None:
        """Let it stand there again."""
        vars(self._schedule).update(self._state)
        for group, rate in self._rates:
            group["lr"] = rate


@contextmanager
def held_still(listener: StepListener) -> Iterator[None]:
    """Let no schedule, averaged model or gradient scale of torch advance while the listener holds still."""
    with ExitStack() as stack:
        for scheduler in (LRScheduler, ReduceLROnPlateau):
            stack.enter_context(patched_tree(scheduler, "step", _not_at_all(listener)))
        stack.enter_context(patched_tree(AveragedModel, "update_parameters", _not_at_all(listener)))
        stack.enter_context(patched_tree(GradScaler, "update", _to_no_effect(listener)))
        yield


def _not_at_all(listener: StepListener) -> Wrap:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def advance(self: object, *args: Any, **kwargs: Any) -> Any:
            if listener.holds_still():
                return None
            if isinstance(self, LRScheduler):
                listener.schedule_moves(self)
            return original(self, *args, **kwargs)

        return advance

    return wrap


def _to_no_effect(listener: StepListener) -> Wrap:
    """A scaler has to hear of the end of each step; its scale and its count are then put back."""

    def wrap(original: Callable[..., None]) -> Callable[..., None]:
        def update(self: GradScaler, *args: Any, **kwargs: Any) -> None:
            if not (listener.holds_still() and self.is_enabled()):
                original(self, *args, **kwargs)
                return
            before = self.state_dict()
            original(self, *args, **kwargs)
            self.load_state_dict(before)

        return update

    return wrap
