"""Hooks into torch that see every batch, loss and update of an unmodified script."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data.dataloader import _BaseDataLoaderIter  # the one place through which every batch passes

from evenkeel.step.device import refuse_captured_step
from evenkeel.step.holds import held_still
from evenkeel.step.indices import DrawnIndices
from evenkeel.step.listener import StepListener
from evenkeel.step.patching import Wrap, patched, patched_tree
from evenkeel.step.relays import Relays
from evenkeel.step.scalers import scalers_heard


@contextmanager
def listening(listener: StepListener) -> Iterator[None]:
    """Tell `listener` of every loader and every step of this process while the context lasts.

    Cost per step: a few Python calls, none per parameter.
    """
    with ExitStack() as stack:
        stack.enter_context(first_forward_heard(listener))
        drawn = DrawnIndices()
        stack.enter_context(drawn.heard())
        relays = Relays(listener)
        stack.enter_context(relays.heard())
        stack.enter_context(patched(_BaseDataLoaderIter, "__next__", _hearing_loader(listener, drawn, relays)))
        stack.enter_context(steps_heard(listener))
        yield


def somebody_listens() -> bool:
    """Whether losses are told to a listener already: a second one would have each bad step come again as well."""
    return hasattr(torch.autograd.backward, "__wrapped__")


def all_is_heard() -> bool:
    """Whether every loader and every step of the process is told to a listener, as under `evenkeel run`."""
    return hasattr(_BaseDataLoaderIter.__next__, "__wrapped__")


@contextmanager
def steps_heard(listener: StepListener) -> Iterator[None]:
    """Tell of losses, clipping and updates; let schedules stand still when the listener does."""
    with ExitStack() as stack:
        stack.enter_context(updates_heard(listener))
        stack.enter_context(losses_heard(listener))
        stack.enter_context(clipping_heard(listener))
        stack.enter_context(scalers_heard(listener))
        stack.enter_context(held_still(listener))
        yield


@contextmanager
def first_forward_heard(listener: StepListener) -> Iterator[None]:
    """Tell of the first forward of a module, once; costs nothing afterwards.

    A global hook of torch would make compiled modules warn that there is one.
    """
    original = nn.Module.__call__

    def first(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if nn.Module.__call__ is first:
            nn.Module.__call__ = original  # type: ignore[method-assign]
            listener.forward_begins()
        return original(self, *args, **kwargs)

    nn.Module.__call__ = functools.wraps(original)(first)  # type: ignore[method-assign]
    try:
        yield
    finally:
        if nn.Module.__call__ is first:
            nn.Module.__call__ = original  # type: ignore[method-assign]


@contextmanager
def optimizers_heard(made: Callable[[], None]) -> Iterator[None]:
    """Call `made` whenever an optimizer was constructed: where a script ends its preparations."""

    def hearing(original: Callable[..., None]) -> Callable[..., None]:
        def construct(self: Optimizer, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            made()

        return construct

    with patched(Optimizer, "__init__", hearing):
        yield


@contextmanager
def updates_heard(listener: StepListener) -> Iterator[None]:
    """Tell of every optimizer.step() and zero_grad()."""

    def before(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        refuse_captured_step()
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):
            listener.before_update(optimizer)
            return None
        told = _evaluating(closure, listener, optimizer)
        return ((args[0], told, *args[2:]), kwargs) if len(args) > 1 else (args, {**kwargs, "closure": told})

    def after(optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        listener.after_update(optimizer)

    with ExitStack() as stack:
        stack.callback(register_optimizer_step_pre_hook(before).remove)
        stack.callback(register_optimizer_step_post_hook(after).remove)
        for owner in (Optimizer, nn.Module):
            stack.enter_context(patched_tree(owner, "zero_grad", _hearing_zero_grad(listener)))
        yield


def _evaluating(closure: Callable[[], Any], listener: StepListener, optimizer: Optimizer) -> Callable[[], Any]:
    """The closure; its first evaluation is made at the present parameters, later ones are part of the update."""
    is_first = [True]

    def evaluate() -> Any:
        if is_first:
            loss = closure()
            is_first.clear()
            listener.before_update(optimizer)
            return loss
        listener.evaluation_begins()
        loss = closure()
        listener.evaluation_ended()
        return loss

    return evaluate


@contextmanager
def losses_heard(listener: StepListener) -> Iterator[None]:
    """Tell of every tensor that `torch.autograd.backward` or `torch.autograd.grad` starts from.

    `grad` with `create_graph` is part of a loss (a gradient penalty, an inner step) and is not told, and neither is a
    backward inside another one (reentrant checkpointing).
    """
    under_way: list[object] = []

    def hearing_backward(original: Callable[..., None]) -> Callable[..., None]:
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
            if under_way:
                original(tensors, *args, **kwargs)
                return
            listener.backward_begins((tensors,) if isinstance(tensors, Tensor) else _losses(tensors))
            under_way.append(None)
            try:
                original(tensors, *args, **kwargs)
            finally:
                under_way.pop()
            listener.backward_ended((), None)

        return backward

    def hearing_grad(original: Callable[..., Any]) -> Callable[..., Any]:
        def grad(
            outputs: Any,
            inputs: Any,
            grad_outputs: Any = None,
            retain_graph: Any = None,
            create_graph: Any = False,  # noqa: FBT002  the signature is torch's
            **more: Any,
        ) -> Any:
            leaves = _several(inputs)
            if create_graph or under_way or not _are_leaves(leaves):
                return original(outputs, inputs, grad_outputs, retain_graph, create_graph, **more)
            listener.backward_begins(_losses(outputs))
            under_way.append(None)
            try:
                gradients = original(outputs, inputs, grad_outputs, retain_graph, create_graph, **more)
            finally:
                under_way.pop()
            listener.backward_ended(leaves, [g for g in gradients if isinstance(g, Tensor)])
            return gradients

        return grad

    with (
        patched(torch.autograd, "backward", hearing_backward),
        patched(torch.autograd, "grad", hearing_grad),
    ):
        yield


@contextmanager
def clipping_heard(listener: StepListener) -> Iterator[None]:
    """Tell of every norm by which gradients are about to be scaled, before it touches them."""
    taken: list[tuple[Tensor, Sequence[Tensor]]] = []  # the norm that was computed last, and of what

    def norming(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def get_total_norm(tensors: Any, norm_type: float = 2.0, *args: Any, **kwargs: Any) -> Tensor:
            listed = _several(tensors)
            norm = original(listed, norm_type, *args, **kwargs)
            taken[:] = [(norm, listed)] if float(norm_type) >= 1 else []
            return norm

        return get_total_norm

    def clipping(original: Callable[..., None]) -> Callable[..., None]:
        def clip_grads_with_norm_(
            parameters: Any, max_norm: float, total_norm: Tensor, *more: Any, **named: Any
        ) -> None:
            listed = _several(parameters)
            normed = taken.pop() if taken else None
            listener.clipping(listed, total_norm, normed[1] if normed and normed[0] is total_norm else None)
            original(listed, max_norm, total_norm, *more, **named)

        return clip_grads_with_norm_

    places: list[tuple[Any, str, Wrap]] = [  # clip_grad_norm_ finds them in its own module, scripts in the package
        (clip_grad, "_get_total_norm", norming),
        (nn.utils, "get_total_norm", norming),
        (clip_grad, "_clip_grads_with_norm_", clipping),
        (nn.utils, "clip_grads_with_norm_", clipping),
    ]
    with ExitStack() as stack:
        for owner, name, wrap in places:
            stack.enter_context(patched(owner, name, wrap))
        yield


def _several(tensors: Any) -> tuple[Any, ...]:
    return (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)


def _losses(outputs: Any) -> tuple[Tensor, ...]:
    """What has values among them; an edge of the graph has none."""
    return tuple(t for t in _several(outputs) if isinstance(t, Tensor))


def _are_leaves(inputs: tuple[Any, ...]) -> bool:
    return all(isinstance(t, Tensor) and t.is_leaf for t in inputs)


def _hearing_loader(listener: StepListener, drawn: DrawnIndices, relays: Relays) -> Wrap:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def __next__(self: _BaseDataLoaderIter) -> object:  # noqa: N807  it replaces the method of that name
            if relays.are_fetching:
                batch = original(self)
                relays.fetched(drawn.of_next_batch(self))
                return batch
            source = ("dataset", id(self._dataset))
            again = listener.batch_again(source)
            if again is not None:
                return again[0]
            batch = original(self)
            listener.batch_handed_out(source, batch, drawn.of_next_batch(self))
            return batch

        return __next__

    return wrap


def _hearing_zero_grad(listener: StepListener) -> Wrap:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def zero_grad(self: object, *args: Any, **kwargs: Any) -> Any:
            set_to_none = args[0] if args else kwargs.get("set_to_none", True)
            listener.gradients_cleared("none" if set_to_none else "zero")
            return original(self, *args, **kwargs)

        return zero_grad

    return wrap
