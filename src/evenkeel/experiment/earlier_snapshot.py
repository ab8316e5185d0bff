"""The step from the state of some updates earlier: finite there, the state had drifted; else it is bad from both.

No remedy: from there the same updates lead to the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from evenkeel.core.words import number
from evenkeel.experiment.change import Change
from evenkeel.step.kept import PutBack, kept
from evenkeel.step.living import living
from evenkeel.step.updater import parameters_of
from evenkeel.tensors.measure import dense

NAME = "earlier snapshot"


class EarlierSnapshot(Change):
    """Parameters, buffers and what optimizers keep of them are as they were `num_updates` before the failing step.

    Batches, random states, learning rates, schedules and gradients are those of the failing step. For runs from the
    start: `keep` has to be called before the earlier step, so that a run which is all right keeps nothing. Where no
    optimizer makes the updates, nothing is changed and nothing is learnt: such a loop does not tell where its steps
    begin. What an optimizer keeps outside of `state` stays as it is.
    Memory: two copies of all that, in the host's memory. Cost: a few passes over it.
    """

    name = NAME
    took_effect = False
    changed = ""

    def __init__(self, num_updates: int) -> None:
        """Nothing is kept yet."""
        self._num_updates = num_updates
        self._optimizers: list[Optimizer] = []
        self._then: list[tuple[Tensor, Tensor]] = []
        self._put_back: list[PutBack] = []

    def keep(self) -> None:
        """Keep what every model and optimizer of this process has now."""
        self._optimizers = living(Optimizer)
        held = _parameters_and_buffers(self._optimizers) if self._optimizers else ()
        with torch.no_grad():
            self._then = [(tensor, tensor.detach().to("cpu", copy=True)) for tensor in held]
            self._put_back = [kept(optimizer.state) for optimizer in self._optimizers]

    @contextmanager
    def during(self) -> Iterator[None]:
        """Only what has moved is written to; at the end it has the values of before again."""
        moved = [(tensor, then) for tensor, then in self._then if _has_moved(tensor, then)]
        self.took_effect = bool(moved)
        self.changed = self._told(moved)
        with torch.no_grad():
            now = [kept([tensor for tensor, _ in moved]), *(kept(optimizer.state) for optimizer in self._optimizers)]
            for tensor, then in moved:
                tensor.detach().copy_(then)
            _call_all(self._put_back)
        try:
            yield
        finally:
            with torch.no_grad():
                _call_all(now)

    def _told(self, moved: list[tuple[Tensor, Tensor]]) -> str:
        updates = "1 update" if self._num_updates == 1 else f"{self._num_updates} updates"
        told = f"parameters, buffers and optimizer state as they stood {updates} before the failing step"
        trained = [pair for pair in moved if pair[0].requires_grad]
        if not trained:
            return told
        now, then = (number(_largest(tensors)) for tensors in zip(*trained, strict=True))
        return f"{told} (the largest trained parameter: {then} in the place of {now})"


def _parameters_and_buffers(optimizers: Iterable[Optimizer]) -> list[Tensor]:
    """Of every living model, and what else an optimizer updates; each once."""
    found = [p for optimizer in optimizers for p in parameters_of(optimizer)]
    for module in living(nn.Module):
        found += [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return [t for t in {id(t): t for t in found}.values() if not is_lazy(t) and _lies_in_memory(t)]


def _lies_in_memory(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta


def _has_moved(tensor: Tensor, then: Tensor) -> bool:
    return tensor.shape == then.shape and not torch.equal(tensor.detach().cpu(), then)


def _largest(tensors: Iterable[Tensor]) -> float:
    """By magnitude; NaN where one is."""
    return float(torch.stack([dense(tensor).abs().max().double().cpu() for tensor in tensors]).max())


def _call_all(calls: Iterable[PutBack]) -> None:
    for call in calls:
        call()
