"""Loops that update their parameters by hand: their backward calls are their steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from evenkeel.step.living import living
from evenkeel.step.updater import ByHand
from evenkeel.tensors.graph import leaves_of


class Hands:
    """Tells whether a backward call belongs to a loop without an optimizer object.

    Cost: one search for optimizers at the first backward; in loops by hand, a walk over each graph.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.are_at_work: bool | None = None  # False: an optimizer makes the updates
        self._updater: ByHand | None = None

    def updater_after(
        self, losses: Sequence[Tensor], leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None
    ) -> ByHand | None:
        """Who will use the gradients that were just computed; None where an optimizer will."""
        if self.are_at_work is False:
            return None
        if self.are_at_work is None:
            self.are_at_work = not _any_optimizer()
            if not self.are_at_work:
                return None
        found = [leaf for leaf in list(leaves) or leaves_of(losses) if _is_in_memory(leaf)]
        if not found:
            return None
        if self._updater is None or not _are_same(found, self._updater):
            self._updater = ByHand(found)
        self._updater.gradients = _with_gradients(found, gradients)
        return self._updater


def _with_gradients(leaves: Sequence[Tensor], gradients: Sequence[Tensor] | None) -> list[tuple[Tensor, Tensor]]:
    if gradients is not None and len(gradients) == len(leaves):
        return list(zip(leaves, gradients, strict=True))
    return [(leaf, leaf.grad) for leaf in leaves if leaf.grad is not None]


def _are_same(leaves: Sequence[Tensor], updater: ByHand) -> bool:
    known = updater.param_groups[0]["params"]
    return len(leaves) == len(known) and all(a is b for a, b in zip(leaves, known, strict=True))


def _is_in_memory(leaf: Tensor) -> bool:
    """Sharded parameters are gathered for a backward and gone after it."""
    return leaf.layout != torch.strided or leaf.untyped_storage().nbytes() > 0


def _any_optimizer() -> bool:
    """Whether an optimizer exists. Its parameters need not be the leaves: sharded ones are not."""
    return bool(living(Optimizer))
