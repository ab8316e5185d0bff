"""Who changes parameters: an optimizer, or the loop's own hand."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor

from evenkeel.tensors.measure import is_plain

# what is asked in every step, without a Python call for each parameter
_PARAMS = operator.itemgetter("params")
_GRADIENT = operator.attrgetter("grad")
_EXISTS = partial(operator.is_not, None)


class Updater(Protocol):
    """What of `torch.optim.Optimizer` is used here; `ByHand` has it too."""

    param_groups: list[dict[str, Any]]


class ByHand:
    """The updates that a loop writes itself, without an optimizer object."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        """`parameters` are the leaves that got gradients."""
        self.param_groups: list[dict[str, Any]] = [{"params": list(parameters)}]
        self.gradients: list[tuple[Tensor, Tensor]] = []  # each parameter that has one, with it


_BY_HAND = 0


def key_of(updater: Updater) -> int:
    """One for each optimizer; one for all updates by hand, which may have new parameters in each step."""
    return _BY_HAND if isinstance(updater, ByHand) else id(updater)


def parameters_of(updater: Updater) -> list[Tensor]:
    """Every parameter of every group."""
    return list(chain.from_iterable(map(_PARAMS, updater.param_groups)))


def drop_gradients(updaters: Iterable[Updater]) -> None:
    """Set the gradients of all parameters to None, as `zero_grad()` does."""
    for updater in updaters:
        for parameter in parameters_of(updater):
            parameter.grad = None


def zero_gradients(updaters: Iterable[Updater]) -> None:
    """Fill the gradients of all parameters with zeros, as `zero_grad(set_to_none=False)` does."""
    for updater in updaters:
        for parameter in parameters_of(updater):
            if parameter.grad is not None:
                parameter.grad = torch.zeros_like(parameter.grad)


class Parameters:
    """The parameters of one updater, and whether one fused reduction can read them all.

    Cost of `present`: 20 ns a parameter. Groups may change at any time: that is noticed.
    """

    def __init__(self, updater: Updater) -> None:
        """List them."""
        self.updater = updater
        self._known: list[Tensor] = []
        self.are_plain = False
        self.present()

    def present(self) -> list[Tensor]:
        """All that there are now; the expensive questions are asked only when they are not the same objects."""
        present = parameters_of(self.updater)
        if len(present) != len(self._known) or not all(map(operator.is_, present, self._known)):
            self._known = present
            self.are_plain = bool(present) and all(map(is_plain, present)) and len({p.device for p in present}) == 1
        return present

    def with_gradient(self) -> list[tuple[Tensor, Tensor]]:
        """Each parameter that has a gradient, with it."""
        return [(p, p.grad) for p in self.present() if p.grad is not None]


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Those that there are."""
    return list(filter(_EXISTS, map(_GRADIENT, parameters)))


class HiddenGradients:
    """An update that shall not happen: without gradients every optimizer skips every parameter."""

    def __init__(self, updater: Updater) -> None:
        """Hide them."""
        self._hidden = [(p, p.grad) for p in parameters_of(updater)]
        for parameter, _ in self._hidden:
            parameter.grad = None

    def release(self) -> None:
        """Show the gradients again, for a loop that looks at them after the step."""
        for parameter, gradient in self._hidden:
            parameter.grad = gradient
        self._hidden.clear()


class KeptParameters:
    """An update by hand that shall have no effect: the values from before are put back afterwards.

    Memory: a copy of the parameters, made for a bad step only.
    """

    def __init__(self, updater: Updater) -> None:
        """Copy them."""
        self._kept = [(p, p.detach().clone()) for p in parameters_of(updater)]

    def release(self) -> None:
        """Put the values back in place."""
        with torch.no_grad():
            for parameter, value in self._kept:
                parameter.copy_(value)
        self._kept.clear()


Withheld = HiddenGradients | KeptParameters


def withhold(updater: Updater) -> Withheld:
    """See to it that the update which is about to happen changes nothing once it is released."""
    return KeptParameters(updater) if isinstance(updater, ByHand) else HiddenGradients(updater)
