"""What an update changes, kept so that an update which was only tried can be taken back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from evenkeel.step.updater import Updater, parameters_of
from evenkeel.tensors.measure import is_finite
from evenkeel.tensors.trees import named_tensors

PutBack = Callable[[], Any]


class KeptUpdate:
    """Parameters, the optimizer's state and its settings, as they are before an update.

    Every tensor stays the same object and gets its values back in place; what the optimizer made anew is forgotten.
    Memory: a copy of all that, made in the host's memory. Cost: two passes over it. For bad steps only.
    """

    def __init__(self, updater: Updater) -> None:
        """Keep it."""
        self._updater = updater
        with torch.no_grad():  # so that a mode that widens what it meets (experiment/precision.py) lets it be
            self._parameters = kept([p.detach() for p in parameters_of(updater)])
            groups = [{k: v for k, v in group.items() if k != "params"} for group in updater.param_groups]
            self._settings = [kept(group) for group in groups]
            state = _state_of(updater)
            self._was_finite = _is_finite(state)
            self._state = [(parameter, kept(of_parameter)) for parameter, of_parameter in state.items()]

    @property
    def state_went_bad(self) -> bool:
        """Whether the optimizer now keeps something that is not finite, and did not before.

        An infinite second moment makes every later step of its parameter 0: finite, and no training.
        """
        return self._was_finite and not _is_finite(_state_of(self._updater))

    def put_back(self) -> None:
        """Let everything be as it was kept."""
        with torch.no_grad():
            self._parameters()
            for group, settings in zip(self._updater.param_groups, self._settings, strict=True):
                parameters = group["params"]
                group.clear()
                group.update(params=parameters, **settings())
            state = [(parameter, of_parameter()) for parameter, of_parameter in self._state]
            _filled(_state_of(self._updater), dict(state))


def _state_of(updater: Updater) -> dict[Any, Any]:
    return updater.state if isinstance(updater, Optimizer) else {}


def _is_finite(state: dict[Any, Any]) -> bool:
    return all(is_finite(t) for _, t in named_tensors(list(state.values()), "") if t.is_floating_point())


def kept(value: Any) -> PutBack:
    """What gives a nested value back: its tensors and mappings are the same objects, with the values of now.

    Memory: a copy of its tensors in the host's memory. To be called, and its answer too, without gradients.
    """
    if isinstance(value, Tensor):
        return _kept_tensor(value)
    if isinstance(value, Mapping):
        inner = {key: kept(item) for key, item in value.items()}
        return lambda: _filled(value, {key: item() for key, item in inner.items()})
    if type(value) in (list, tuple):
        items = [kept(item) for item in value]
        return lambda: type(value)(item() for item in items)
    plain = copy.deepcopy(value)
    return lambda: copy.deepcopy(plain)


def _kept_tensor(tensor: Tensor) -> PutBack:
    values = tensor.detach().to("cpu", copy=True)

    def put_back() -> Tensor:
        tensor.detach().copy_(values)
        return tensor

    return put_back


def _filled(mapping: Any, items: dict[Any, Any]) -> Any:
    """The same mapping object with these items."""
    mapping.clear()
    mapping.update(items)
    return mapping
