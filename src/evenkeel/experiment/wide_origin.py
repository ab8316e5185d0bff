"""The origin alone in float64: whether the numbers it was given, or the format it computes in, are what fails."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.experiment.calls import Call, is_plain, plain_name
from evenkeel.experiment.change import Change
from evenkeel.experiment.rewriting import Running, Watching

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


class _Widening(Watching):
    """Makes the calls of one function at one line with wide operands, and narrows what they return."""

    def __init__(self, operation: Operation, place: Place, running: Running) -> None:
        super().__init__(place, running)
        self.num_widened = 0
        self._names = {plain_name(name) for name in (operation.function, operation.api) if name}

    def _in_place_of(self, call: Call) -> object:
        formats = {a.dtype for a in call.args if is_plain(a) and isinstance(a, Tensor)}
        is_meant = call.is_origin and call.function in self._names and not call.is_in_place
        if not is_meant or len(formats) != 1 or not formats <= _NARROW:
            return None
        (narrow,) = formats
        self.num_widened += 1
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            result = call.made_of(tree_map(_wide, call.args), tree_map(_wide, dict(call.kwargs)))
        return tree_map(partial(_narrowed, narrow), result)


def _narrowed(narrow: torch.dtype, value: object) -> object:
    return value.to(narrow) if isinstance(value, Tensor) and value.dtype == torch.float64 else value


def _wide(value: object) -> object:
    return value.double() if isinstance(value, Tensor) and value.dtype in _NARROW else value
