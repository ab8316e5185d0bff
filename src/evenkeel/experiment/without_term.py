"""The step without one term of its loss: whether that term is what makes it bad.

No remedy: a term that is left out for ever is a training of something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import grad as gradients  # bound here, before anybody listens: asking for them is no step
from torch.autograd.graph import GradientEdge
from torch.overrides import TorchFunctionMode

from evenkeel.experiment.change import Change
from evenkeel.step.patching import patched
from evenkeel.tensors.nodes import number_of
from evenkeel.tensors.sums import terms_behind


class WithoutTerm(Change):
    """Backward starts from the other terms of the sum, each scaled as it was in the loss.

    The loss of the step is then their sum; a constant that was added is not part of it. Terms are counted as
    `locate.summands` does. Where backward starts from several tensors, or from one that is not a single number, and
    where a term is not what one call returned, nothing is changed and nothing is learnt.
    Memory: the losses and their terms, which the graph holds anyway.
    """

    name = ""
    took_effect = False

    def __init__(self, name: str, position: int, *, backward: int, num_backwards: int) -> None:
        """`position` is the term's place in the sum of the `backward`-th of the step's backward calls, from 0."""
        self.name = f"without term: {name}"
        self._term = name
        self._position = position
        self._backward = backward
        self._num_backwards = num_backwards

    @property
    def changed(self) -> str:
        """What was different, in words."""
        return f"{self._term} left out of the loss"

    @contextmanager
    def during(self) -> Iterator[None]:
        """Not to be left from within a call of torch's, as a hook of backward is."""
        small = _SmallResults()
        num_calls = [0]

        def wrap(original: Callable[..., None]) -> Callable[..., None]:
            def backward(tensors: Any, grad_tensors: Any = None, *args: Any, **kwargs: Any) -> None:
                is_meant = num_calls[0] % self._num_backwards == self._backward and grad_tensors is None
                num_calls[0] += 1
                rest = self._rest(tensors, small) if is_meant else None
                original(tensors if rest is None else rest, grad_tensors, *args, **kwargs)

            return backward

        with patched(torch.autograd, "backward", wrap), small:
            yield

    def _rest(self, loss: object, small: _SmallResults) -> Tensor | None:
        """The sum of the other terms; None where it cannot be made."""
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            return None
        nodes = terms_behind(loss)
        terms = [small.made_by.get(number_of(node)) for node in nodes]
        if self._position >= len(nodes) or len(nodes) == 1 or any(term is None for term in terms):
            return None
        seeds = gradients(loss, [GradientEdge(node, 0) for node in nodes], retain_graph=True)
        pairs = [(seed, term) for seed, term in zip(seeds, terms, strict=True) if term is not None]
        del pairs[self._position]
        self.took_effect = True
        return torch.stack([(seed * term).sum() for seed, term in pairs]).sum()


class _SmallResults(TorchFunctionMode):
    """Holds what calls returned that may be the term of a loss: one number, or one for each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.made_by: dict[int, Tensor] = {}  # by the sequence number of the node

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Make the call, and hold what it returned."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dim() <= 1 and result.grad_fn is not None:
            self.made_by[number_of(result.grad_fn)] = result
        return result
