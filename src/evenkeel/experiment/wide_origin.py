"""The origin alone in float64: whether the numbers it was given, or the format it computes in, are what fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.experiment.calls import Call, is_plain, plain_name
from evenkeel.experiment.change import Change
from evenkeel.experiment.rewriting import Running
from evenkeel.experiment.sites import site_of

_NARROW = frozenset({torch.float16, torch.bfloat16, torch.float32})


class OriginInFloat64(Change):
    """The operation in which the bad value was born computes in float64, forward and backward; nothing else does.

    Its results return to the format that they had. A step that is healthy so fails for the rounding or the range
    inside this one operation; one that is not was handed numbers that have no finite result in the format it returns.
    """

    name = "origin in float64"
    remedy = ""  # a formula is wanted, which the cause and the stable forms know better

    def __init__(self, operation: Operation, place: Place, running: Running) -> None:
        """`place` is the operation's line; `running` tells the user's line that is running."""
        self._operation = operation
        self._place = place
        self._running = running
        self._mode = _Widening(operation, place, running)

    @property
    def changed(self) -> str:
        """What was different, in words."""
        return f"{self._operation.function} at {Path(self._place.file).name}:{self._place.line} computed in float64"

    @property
    def took_effect(self) -> bool:
        """Whether the step came to the operation, with numbers of a narrower format."""
        return self._mode.num_widened > 0

    def during(self) -> AbstractContextManager[object]:
        """The one call is wide. Not to be left from within a call of torch's, as a hook of backward is."""
        self._mode = _Widening(self._operation, self._place, self._running)
        return self._mode


class _Widening(TorchFunctionMode):
    """Makes the calls of one function at one line with wide operands, and narrows what they return.

    Cost: the name of each call is looked at; the stack, only for calls of that name.
    """

    def __init__(self, operation: Operation, place: Place, running: Running) -> None:
        super().__init__()
        self.num_widened = 0
        self._names = {plain_name(name) for name in (operation.function, operation.api) if name}
        self._place = place
        self._running = running

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Make the call, wide where it is the one."""
        keywords = kwargs or {}
        if plain_name(func.__name__) not in self._names or not self._is_at_the_line():
            return func(*args, **keywords)
        call = Call.of(func, args, keywords)
        formats = {a.dtype for a in call.args if is_plain(a) and isinstance(a, Tensor)}
        if call.is_in_place or len(formats) != 1 or not formats <= _NARROW:
            return func(*args, **keywords)
        (narrow,) = formats
        self.num_widened += 1
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            result = call.made_of(tree_map(_wide, call.args), tree_map(_wide, dict(keywords)))
        return tree_map(partial(_narrowed, narrow), result)

    def _is_at_the_line(self) -> bool:
        site = site_of(sys._getframe(2), self._place.file)
        is_there = site is not None and (site.line, site.scope) == (self._place.line, self._place.scope)
        return is_there and self._running() == self._place


def _narrowed(narrow: torch.dtype, value: object) -> object:
    return value.to(narrow) if isinstance(value, Tensor) and value.dtype == torch.float64 else value


def _wide(value: object) -> object:
    return value.double() if isinstance(value, Tensor) and value.dtype in _NARROW else value
