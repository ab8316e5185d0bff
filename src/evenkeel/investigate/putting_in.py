"""Puts what a capsule holds into the living objects of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from evenkeel.capsule.thaw import StoredSchedule, StoredUpdater
from evenkeel.capsule.unpacking import ABSENT
from evenkeel.core.errors import UsageError
from evenkeel.step.listener import Schedule
from evenkeel.step.updater import Updater, parameters_of

_SHOWN = 3


def put_model(stored: Mapping[str, Tensor], living: Mapping[str, Tensor]) -> list[str]:
    """Write the values over those of the living tensors.

    Returns: which models of the program were left as they are, being none of the capsule's.

    Raises:
        UsageError: the program's models are others than those of the capsule; the first differences are named.
    """
    known = {_model_of(name) for name in stored}
    strangers = sorted({_model_of(name) for name in living} - known)
    concerned = [*stored, *(name for name in living if name not in stored and _model_of(name) in known)]
    differences = [text for name in concerned if (text := _difference(name, stored, living))]
    if differences:
        more = f"; and {len(differences) - _SHOWN:,} more" if len(differences) > _SHOWN else ""
        raise UsageError(
            f"the program's models are not those of the capsule: {'; '.join(differences[:_SHOWN])}{more}. "
            "Use the program as it was, with the same arguments; or add --from start"
        )
    with torch.no_grad():
        for name, tensor in stored.items():
            living[name].copy_(tensor)
    return [f"{model} is none of the capsule's models, and was left as it is" for model in strangers]


def _model_of(name: str) -> str:
    return name.partition(".")[0]


def _difference(name: str, stored: Mapping[str, Tensor], living: Mapping[str, Tensor]) -> str:
    if name not in living:
        return f"{name} is in the capsule only"
    if name not in stored:
        return f"{name} is in the program only"
    was, now = _form(stored[name]), _form(living[name])
    return "" if was == now else f"{name} was {was} and is {now}"


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"


def put_updater(stored: StoredUpdater, updater: Updater) -> None:
    """Settings and state of an optimizer.

    Raises:
        UsageError: it is another optimizer.
    """
    parameters = parameters_of(updater)
    was = (stored.kind, stored.num_parameters, len(stored.groups))
    now = (type(updater).__name__, len(parameters), len(updater.param_groups))
    if was != now or any(place >= len(parameters) for place, _ in stored.state):
        raise UsageError(
            f"the capsule's optimizer is {was[0]} with {was[1]} parameters in {was[2]} groups; "
            f"the program's is {now[0]} with {now[1]} in {now[2]}. Use the program as it was, or add --from start"
        )
    for group, settings in zip(updater.param_groups, stored.groups, strict=True):
        group.update({name: value for name, value in _held(settings).items() if name in group and name != "params"})
    if isinstance(updater, Optimizer):
        for place, of_parameter in stored.state:
            parameter = parameters[place]
            before = updater.state.get(parameter, {})
            updater.state[parameter] = {
                name: _moved(value, before.get(name), parameter) for name, value in _held(of_parameter).items()
            }


def put_schedules(stored: Sequence[StoredSchedule], living: Sequence[Schedule], updaters: Sequence[Updater]) -> str:
    """Where the schedules of learning rates stand; these do not move while the step comes again.

    Returns: why they were left as they are; "" when they were not.
    """
    places = {id(updater): place for place, updater in enumerate(updaters)}
    known = [schedule for schedule in stored if 0 <= schedule.updater < len(updaters)]
    was = [(schedule.updater, schedule.kind) for schedule in known]
    now = [(places.get(id(schedule.optimizer), -1), type(schedule).__name__) for schedule in living]
    if was != now:
        return f"schedules of learning rates were left alone: the capsule has {len(was)}, the program {len(now)}"
    for schedule, one in zip(known, living, strict=True):
        names = one.state_dict().keys()
        vars(one).update({name: value for name, value in _held(schedule.state).items() if name in names})
    return ""


def put_scaler(stored: Mapping[str, Any] | None, scaler: GradScaler | None) -> str:
    """The scale of losses.

    Returns: why it was left as it is; "" when it was not.
    """
    if not stored and scaler is None:
        return ""
    numbers = stored is not None and all(isinstance(value, int | float) for value in stored.values())
    if stored is None or scaler is None or not numbers or stored.keys() != scaler.state_dict().keys():
        return "the gradient scaler was left alone: the capsule's and the program's are not of the same form"
    if stored:
        scaler.load_state_dict(dict(stored))
    return ""


def _held(settings: Mapping[Any, Any]) -> dict[Any, Any]:
    """Those that the capsule has."""
    return {name: value for name, value in settings.items() if value is not ABSENT}


def _moved(value: object, before: object, parameter: Tensor) -> object:
    """On the device where the optimizer keeps it; a list of tensors (LBFGS) with its parameter."""
    if isinstance(value, Tensor):
        device = before.device if isinstance(before, Tensor) else parameter.device if value.ndim else value.device
        return value.to(device)
    if isinstance(value, list):
        return [_moved(item, None, parameter) for item in value]
    return value
