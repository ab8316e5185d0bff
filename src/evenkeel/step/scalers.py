"""Hear when a gradient scaler makes no update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from evenkeel.step.listener import StepListener
from evenkeel.step.patching import Wrap, patched_tree


@contextmanager
def scalers_heard(listener: StepListener) -> Iterator[None]:
    """Tell of each loss that a `GradScaler` scales, and of each update that it leaves out.

    A fused optimizer is called all the same and leaves the update out on the device; see `judged_by_scaler`.
    """
    with (
        patched_tree(GradScaler, "step", _hearing_step(listener)),
        patched_tree(GradScaler, "scale", _hearing_scale(listener)),
    ):
        yield


def judged_by_scaler(optimizer: object) -> Any:
    """The verdict that a scaler left with a fused optimizer, whose gradients are still scaled: 0-d, 0 when finite.

    None when no scaler judged it. Inside `optimizer.step()` only.
    """
    return getattr(optimizer, "found_inf", None)


def refused_by_scaler(optimizer: object) -> bool:
    """Whether a scaler has told this fused optimizer to leave its update out. Inside `optimizer.step()` only."""
    verdict = judged_by_scaler(optimizer)
    return verdict is not None and float(verdict) != 0


def scale_after_refusal(scaler: GradScaler) -> float:
    """What the scale will be after an update was left out. Cost: one host sync."""
    return float(scaler.get_scale() * scaler.get_backoff_factor())


def _hearing_scale(listener: StepListener) -> Wrap:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def scale(self: GradScaler, outputs: Any) -> Any:
            products = original(self, outputs)
            if isinstance(outputs, Tensor) and products is not outputs:
                listener.loss_scaled(outputs, products)
            return products

        return scale

    return wrap


def _hearing_step(listener: StepListener) -> Wrap:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(self: GradScaler, optimizer: object, *args: Any, **kwargs: Any) -> Any:
            if not (isinstance(optimizer, Optimizer) and self.is_enabled()):
                return original(self, optimizer, *args, **kwargs)
            listener.scaler_steps(self)
            updates: list[object] = []
            handle = register_optimizer_step_pre_hook(lambda *_: updates.append(optimizer))
            try:
                result = original(self, optimizer, *args, **kwargs)
            finally:
                handle.remove()
            if not updates:
                listener.update_refused(optimizer)
            return result

        return step

    return wrap
