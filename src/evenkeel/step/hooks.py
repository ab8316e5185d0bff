"""Hooks into torch that see every batch, loss and update of an unmodified script."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data.dataloader import _BaseDataLoaderIter  # the one place through which every batch passes


@runtime_checkable
class StepListener(Protocol):
    """What is told about a training loop as it runs."""

    def forward_begins(self) -> None:
        """The first forward of any module of the process begins."""

    def batch_again(self, source: Hashable) -> tuple[object] | None:
        """A batch is asked for: return (batch,) to hand that one out, None to let a fresh one be fetched."""

    def batch_handed_out(self, source: Hashable, batch: object) -> None:
        """A fresh batch is on its way to the loop."""

    def backward_begins(self, losses: tuple[Tensor, ...]) -> None:
        """`torch.autograd.backward` was called on these tensors."""

    def gradients_cleared(self) -> None:
        """`zero_grad()` was called on an optimizer or a module: what was computed before is not applied."""

    def before_update(self, optimizer: Optimizer) -> None:
        """`optimizer.step()` begins."""

    def after_update(self, optimizer: Optimizer) -> None:
        """`optimizer.step()` ended."""

    def holds_still(self) -> bool:
        """Whether schedules must not advance now."""


@contextmanager
def listening(listener: StepListener) -> Iterator[None]:
    """Tell `listener` of every loader, loss, optimizer and scheduler of this process while the context lasts.

    Cost per step: a few Python calls, none per parameter.
    """
    with ExitStack() as stack:
        stack.enter_context(first_forward_heard(listener))
        stack.enter_context(updates_heard(listener))
        stack.enter_context(losses_heard(listener))
        stack.enter_context(_patched(_BaseDataLoaderIter, "__next__", _hearing_loader(listener)))
        stack.enter_context(schedules_held(listener))
        yield


@contextmanager
def schedules_held(listener: StepListener) -> Iterator[None]:
    """Let no schedule of torch advance while the listener holds still."""
    with ExitStack() as stack:
        for scheduler in (LRScheduler, ReduceLROnPlateau):
            stack.enter_context(_patched_tree(scheduler, "step", _holding(listener)))
        yield


@contextmanager
def first_forward_heard(listener: StepListener) -> Iterator[None]:
    """Tell of the first forward of a module, once; costs nothing afterwards."""

    def first(_module: object, _args: object) -> None:
        handle.remove()
        listener.forward_begins()

    handle = register_module_forward_pre_hook(first)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def updates_heard(listener: StepListener) -> Iterator[None]:
    """Tell of every optimizer.step() and zero_grad()."""

    def before(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        listener.before_update(optimizer)

    def after(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        listener.after_update(optimizer)

    with ExitStack() as stack:
        stack.callback(register_optimizer_step_pre_hook(before).remove)
        stack.callback(register_optimizer_step_post_hook(after).remove)
        for owner in (Optimizer, nn.Module):
            stack.enter_context(_patched_tree(owner, "zero_grad", _hearing_zero_grad(listener)))
        yield


@contextmanager
def losses_heard(listener: StepListener) -> Iterator[None]:
    """Tell of every tensor that `torch.autograd.backward` starts from."""

    def hearing(original: Callable[..., None]) -> Callable[..., None]:
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
            listener.backward_begins((tensors,) if isinstance(tensors, Tensor) else tuple(tensors))
            original(tensors, *args, **kwargs)

        return backward

    with _patched(torch.autograd, "backward", hearing):
        yield


def _hearing_loader(listener: StepListener) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def __next__(self: _BaseDataLoaderIter) -> object:  # noqa: N807  it replaces the method of that name
            source = ("dataset", id(self._dataset))
            again = listener.batch_again(source)
            if again is not None:
                return again[0]
            batch = original(self)
            listener.batch_handed_out(source, batch)
            return batch

        return __next__

    return wrap


def _hearing_zero_grad(listener: StepListener) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def zero_grad(self: object, *args: Any, **kwargs: Any) -> Any:
            listener.gradients_cleared()
            return original(self, *args, **kwargs)

        return zero_grad

    return wrap


def _holding(listener: StepListener) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(self: object, *args: Any, **kwargs: Any) -> Any:
            return None if listener.holds_still() else original(self, *args, **kwargs)

        return step

    return wrap


@contextmanager
def _patched(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrap(original)))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def _patched_tree(root: type, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Patch a method where it is defined in a class and in its present subclasses."""
    with ExitStack() as stack:
        for owner in {root, *_subclasses(root)}:
            if name in vars(owner):
                stack.enter_context(_patched(owner, name, wrap))
        yield


def _subclasses(root: type) -> Iterator[type]:
    children: list[type] = root.__subclasses__()
    for child in children:
        yield child
        yield from _subclasses(child)
