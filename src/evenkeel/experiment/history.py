"""What each tensor of a step was made by, so that a call can look back at where its operands come from."""

from __future__ import annotations

from collections.abc import Callable, Collection, MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from evenkeel.core.edit import Hole
from evenkeel.experiment.calls import Call, version_of

ELEMENTWISE = frozenset({
    "abs", "acos", "acosh", "add", "asin", "atan", "atanh", "clamp", "clamp_max", "clamp_min", "cos", "cosh", "div",
    "exp", "exp2", "expm1", "float", "double", "half", "bfloat16", "log", "log10", "log1p", "log2", "mul", "neg", "pow",
    "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "square", "sub", "tanh", "to", "where", "masked_fill",
})  # fmt: skip
TAKING = frozenset({  # their first operand's elements, chosen or arranged
    "getitem", "gather", "squeeze", "unsqueeze", "view", "reshape", "transpose", "permute", "flatten", "t", "mT", "to",
    "float", "double", "half", "bfloat16", "contiguous", "clone", "select", "narrow", "index_select", "movedim",
    "expand", "take_along_dim", "view_as", "expand_as", "unflatten", "ravel", "diagonal",
    "diag",
})  # fmt: skip
_GUARDING = frozenset({"clamp", "clamp_min", "clamp_max", "add", "maximum", "max"})
_SMALL = 1e-3  # of what is added to keep a number from 0
_REDUCING = frozenset({"sum", "mean", "amax", "amin", "norm", "linalg_vector_norm"})
_DEEPEST = 12  # calls that are looked back through


@dataclass(frozen=True, slots=True)
class Trail:
    """A call, and what was taken of its result afterwards, in order."""

    call: Call
    steps: tuple[Call, ...] = ()

    def taken(self, value: Tensor) -> Tensor:
        """The same of another value in the place of the call's result."""
        for step in self.steps:
            value = step.again((value, *step.args[1:]))
        return value

    def text(self, first: int) -> tuple[str, tuple[Hole | None, ...]]:
        """How the steps are written behind an expression, and the operands of that, whose numbers begin at `first`."""
        parts, holes = "", list[Hole | None]()
        for step in self.steps:
            given = [step.hole(i) for i in range(1, len(step.args))]
            marks = [f"{{{first + len(holes) + i}}}" for i in range(len(given))]
            names = [f"{name}={value!r}" for name, value in step.kwargs.items()]
            is_known = all(isinstance(v, int | float | torch.dtype) for v in step.kwargs.values())
            parts += f"[{marks[0]}]" if step.function == "getitem" else f".{step.function}({', '.join(marks + names)})"
            holes += given if is_known else [None]
        return parts, tuple(holes)


class History:
    """The call behind each tensor that is still alive.

    Memory: a call keeps its operands, so all that a living tensor was made of stays alive until the step is over, which
    for what requires gradients is little more than autograd keeps itself. For the time of one trial.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._makers: MutableMapping[Tensor, tuple[Call, int]] = WeakIdKeyDictionary()

    def note(self, call: Call, result: object) -> None:
        """Note what a call returned."""
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor):
                self._makers[part] = (call, version_of(part))

    def same_as(self, tensor: Tensor, other: Tensor) -> None:
        """Let a copy have the history of its original."""
        found = self._makers.get(other)
        if found is not None:
            self._makers[tensor] = (found[0], version_of(tensor))

    def maker(self, value: object, *functions: str) -> Call | None:
        """The call that made a tensor, if nobody has written to it since and it is one of the functions."""
        if not isinstance(value, Tensor):
            return None
        call, version = self._makers.get(value, (None, 0))
        if call is None or version != version_of(value):
            return None
        return call if not functions or call.function in functions else None

    def behind(self, value: object, *functions: str) -> Trail | None:
        """The call of one of the functions whose result a tensor was taken from.

        Guards (clamp, + eps) are passed over where they changed nothing in this step.
        """
        steps: list[Call] = []
        for _ in range(_DEEPEST):
            call = self.maker(value)
            if call is None:
                return None
            if call.function in functions:
                return Trail(call, tuple(reversed(steps)))
            source = call.tensor(0)
            if source is None:
                return None
            if call.function in TAKING:
                steps.append(call)
            elif not _is_idle_guard(call, value, source):
                return None
            value = source
        return None

    def unguarded(self, value: Tensor | None) -> Tensor | None:
        """A tensor before the guards (clamp, + eps) that changed nothing in this step."""
        for _ in range(_DEEPEST):
            call = self.maker(value, *_GUARDING)
            source = None if call is None else call.tensor(0)
            if call is None or source is None or not _is_idle_guard(call, value, source):
                return value
            value = source
        return value

    def origin_behind(self, value: object, functions: Collection[str]) -> tuple[Call, ...]:
        """Calls of the functions at the line of the origin, from which a tensor came element by element."""
        found: dict[Call, None] = {}
        seen: set[int] = set()
        layer: list[object] = [value]
        for _ in range(_DEEPEST):
            calls = [call for part in layer if (call := self.maker(part)) is not None and id(call) not in seen]
            seen.update(map(id, calls))
            found.update((call, None) for call in calls if call.is_origin and call.function in functions)
            layer = [part for call in calls if call not in found and call.function in ELEMENTWISE for part in call.args]
        return tuple(found)

    def rebuilt(self, value: object, of: Callable[[Call], Tensor | None], depth: int = _DEEPEST) -> object:
        """A tensor computed once more from where `of` has another value for a call; itself where that is nowhere."""
        call = self.maker(value)
        if call is None or depth == 0:
            return value
        other = of(call)
        if other is not None:
            return other
        if call.function not in ELEMENTWISE or call.is_in_place:
            return value
        parts = [self.rebuilt(part, of, depth - 1) for part in call.args]
        is_same = all(new is old for new, old in zip(parts, call.args, strict=True))
        return value if is_same else call.again(parts)

    def same(self, a: object, b: object, depth: int = 6) -> bool:
        """Whether two values are one, or were computed in the same way from the same ones."""
        if a is b:
            return True
        if isinstance(a, tuple | list) and isinstance(b, tuple | list):
            return len(a) == len(b) and all(self.same(x, y, depth) for x, y in zip(a, b, strict=True))
        if not isinstance(a, Tensor) or not isinstance(b, Tensor):
            return not isinstance(a, Tensor) and not isinstance(b, Tensor) and type(a) is type(b) and bool(a == b)
        one, other = self.maker(a), self.maker(b)
        if one is None or other is None or depth == 0 or one.function != other.function:
            return False
        is_pure = one.function in ELEMENTWISE | TAKING | _REDUCING and not one.is_in_place and not other.is_in_place
        return is_pure and self.same(one.args, other.args, depth - 1) and _same_words(one, other)


def _same_words(one: Call, other: Call) -> bool:
    return one.kwargs.keys() == other.kwargs.keys() and all(
        value is other.kwargs[name] or (not isinstance(value, Tensor) and value == other.kwargs[name])
        for name, value in one.kwargs.items()
    )


def _is_idle_guard(call: Call, value: object, source: Tensor) -> bool:
    """Whether a guard changed nothing: a bound that nothing meets, an eps that rounding takes away."""
    added = call.number(1) if call.function == "add" else 0.0
    return call.function in _GUARDING and added is not None and abs(added) <= _SMALL and _are_equal(value, source)


def _are_equal(value: object, source: Tensor) -> bool:
    if not isinstance(value, Tensor) or value.shape != source.shape or value.dtype != source.dtype:
        return False
    return bool(((value == source) | (value.isnan() & source.isnan())).all())
