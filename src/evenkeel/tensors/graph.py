"""Read the autograd graph behind a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor


def nodes_behind(roots: Iterable[Any]) -> Iterator[Any]:
    """Every node that a backward from these nodes reaches, each once. Cost: one walk over the graph."""
    waiting = [root for root in roots if root is not None]
    seen: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions if following is not None]


def leaves_of(losses: Iterable[Tensor]) -> list[Tensor]:
    """The leaves that a backward from these tensors reaches, each once. Cost: one walk over the graph."""
    leaves: dict[int, Tensor] = {}
    for node in nodes_behind(loss.grad_fn for loss in losses):
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            leaves.setdefault(id(leaf), leaf)
    return list(leaves.values())
