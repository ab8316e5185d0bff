"""The sums at the end of an autograd graph: what a loss is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.autograd.graph import Node

from evenkeel.tensors.nodes import num_dimensions

_SUMS = {"AddBackward0", "SubBackward0", "StackBackward0"}
_AVERAGES = {"SumBackward0", "SumBackward1", "MeanBackward0", "MeanBackward1"}
_SCALINGS = {
    "MulBackward0", "DivBackward0", "NegBackward0", "CloneBackward0", "AliasBackward0", "ToCopyBackward0",
    "ViewBackward0", "SqueezeBackward0", "UnsqueezeBackward0", *_AVERAGES,
}  # fmt: skip
_MOST = 32


@dataclass(frozen=True, slots=True)
class Sum:
    """A node of the graph; with parts it adds them up. Parts without a gradient are left out."""

    node: Node
    parts: tuple[Sum, ...] = ()
    is_scaled: bool = False  # the sum is multiplied or averaged before it is used


def terms_behind(loss: Tensor) -> list[Node]:
    """What made each term that a loss is a sum of, from left to right; one node for a loss that is no sum."""
    return [term for tree in sums_of(loss) for term in _terms(tree)]


def sums_of(loss: Tensor) -> list[Sum]:
    """The tree of sums at the end of a loss's graph; none for a loss without one."""
    return [] if loss.grad_fn is None else [_sum_of(loss.grad_fn)]


def _sum_of(node: Node) -> Sum:
    """The tree of sums at the end of a graph; what is scaled or averaged as a whole is looked through."""
    inner = node
    while inner.name() in _SCALINGS and (below := _only_input(inner)) is not None:
        if inner.name() in _AVERAGES and not _is_small(below):
            break
        inner = below
    parts = [following for following, _ in inner.next_functions if following is not None]
    if inner.name() not in _SUMS or not parts:
        return Sum(node)
    if len(parts) == 1:  # a constant was added
        return _sum_of(parts[0])
    return Sum(inner, tuple(_sum_of(part) for part in parts[:_MOST]), is_scaled=inner is not node)


def _terms(tree: Sum) -> Iterator[Node]:
    if not tree.parts:
        yield tree.node
    for part in tree.parts:
        yield from _terms(part)


def _only_input(node: Node) -> Node | None:
    inputs = [following for following, _ in node.next_functions if following is not None]
    return inputs[0] if len(inputs) == 1 else None


def _is_small(node: Node) -> bool:
    """One number, or one for each sample: what losses are added up as."""
    return num_dimensions(node) <= 1
