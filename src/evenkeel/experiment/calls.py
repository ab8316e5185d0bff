"""Calls of torch's functions, as a program makes them: what was asked, with which operands, and where in the text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from evenkeel.core.edit import Edit, Hole, Span
from evenkeel.experiment.sites import Site

_SAME = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arctan": "atan", "arctanh": "atanh",
    "clip": "clamp", "divide": "div", "multiply": "mul", "negative": "neg", "rdiv": "div", "rmul": "mul",
    "rpow": "pow", "rsub": "sub", "subtract": "sub", "swapdims": "transpose", "true_divide": "div", "truediv": "div",
    "expit": "sigmoid", "linalg_det": "det", "T": "t",
}  # fmt: skip
_REFLECTED = {"__rdiv__", "__rsub__", "__rpow__"}
_ALIASES = {"dim": "axis", "keepdim": "keepdims", "input": "self"}
_COMMUTING = {"add", "mul"}


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a function of torch. Operands are counted from 0; the object before the dot, the left side, first."""

    function: str  # "log", "div": one name for functions, methods, operators and their in-place forms
    func: Callable[..., Any]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    is_in_place: bool = False
    site: Site | None = None  # None: not a line of the file in question
    is_origin: bool = False  # the line is that of the origin
    versions: tuple[int, ...] = field(default=())  # of the operands, to tell whether they are still what they were

    @classmethod
    def of(
        cls,
        func: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        site: Site | None = None,
        *,
        is_origin: bool = False,
    ) -> Call:
        """Note a call before it is made."""
        name = _name_of(func)
        given = tuple(reversed(args)) if name in _REFLECTED else tuple(args)
        return cls(
            function=plain_name(name),
            func=func,
            args=given,
            kwargs=kwargs,
            is_in_place=_is_in_place(name),
            site=site,
            is_origin=is_origin,
            versions=tuple(version_of(a) for a in given),
        )

    def argument(self, position: int, keyword: str = "", default: object = None) -> object:
        """An operand by its place or name."""
        if position < len(self.args):
            return self.args[position]
        for name in (keyword, _ALIASES.get(keyword, "")):
            if name and name in self.kwargs:
                return self.kwargs[name]
        return default

    def tensor(self, position: int, keyword: str = "") -> Tensor | None:
        """An operand that is a tensor and has not been written to since; else None."""
        value = self.argument(position, keyword)
        if not isinstance(value, Tensor):
            return None
        known = self.versions[position] if position < len(self.versions) else version_of(value)
        return value if known == version_of(value) else None

    def number(self, position: int, keyword: str = "", default: float | None = None) -> float | None:
        """An operand that is one real number, or a tensor without dimensions and history; else None."""
        value = self.argument(position, keyword, default)
        if isinstance(value, Tensor) and value.dim() == 0 and not value.requires_grad and not value.is_complex():
            return float(value)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def dims(self, position: int = 1) -> tuple[int, ...] | None:
        """The dimensions that are reduced, counted from the front; None where they are not given as numbers."""
        x, value = self.args[0], self.argument(position, "dim")
        if not isinstance(x, Tensor):
            return None
        parts = tuple(range(x.dim())) if value is None else value if isinstance(value, list | tuple) else (value,)
        counted = tuple(d % max(x.dim(), 1) for d in parts if isinstance(d, int))
        return counted if len(counted) == len(parts) else None

    def again(self, args: Sequence[object], **kwargs: object) -> Tensor:
        """Make the call, of a function that returns one tensor, with other operands and some other keywords."""
        result = self.made_of(args, {**self.kwargs, **kwargs})
        if not isinstance(result, Tensor):
            message = f"{self.function} was called again for one tensor, and returned {type(result).__name__}"
            raise TypeError(message)
        return result

    def made_of(self, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """Make the call with these operands and keywords in the place of its own."""
        given = reversed(args) if _name_of(self.func) in _REFLECTED else args
        result: object = self.func(*given, **kwargs)
        return result

    def with_operands(self, args: tuple[object, ...]) -> Call:
        """The same call of other operands."""
        return replace(self, args=args, versions=tuple(version_of(a) for a in args))

    def hole(self, position: int, keyword: str = "", default: str = "") -> Hole | None:
        """The text of an operand; None where it cannot be told."""
        if self.site is None or self.site.span is None:
            return None
        is_swapped = False
        if self.function in _COMMUTING and self.site.kind == "operator" and not self._is_of_tensors:
            order = self.site.number_is_first()
            if order is None:
                return None
            is_swapped = order
        place = 1 - position if is_swapped else position
        is_method = self.site.kind == "call" and getattr(Tensor, _name_of(self.func), None) is self.func
        return Hole(span=self.site.span, position=place, keyword=keyword, is_method=is_method, default=default)

    @property
    def span(self) -> Span | None:
        """The expression in the user's text."""
        return None if self.site is None else self.site.span

    @property
    def _is_of_tensors(self) -> bool:
        return all(isinstance(a, Tensor) for a in self.args)


def edited(call: Call, template: str, *holes: Hole | None, imports: tuple[str, ...] = ()) -> tuple[Edit, ...]:
    """The one change that puts a template in the place of a call; none where a text is out of reach."""
    span = None if call.is_in_place else call.span
    known = tuple(hole for hole in holes if hole is not None)
    if span is None or len(known) < len(holes) or any(h.span.scope != span.scope for h in known):
        return ()
    return (Edit(span=span, template=template, holes=known, imports=imports),)


def plain_name(name: str) -> str:
    """One name for all spellings of a function: "__truediv__", "true_divide" and "div_" are "div"."""
    bare = name.strip("_").removeprefix("special_")
    return _SAME.get(bare, bare)


def version_of(value: object) -> int:
    """How often a tensor was written to; -1 where torch does not count."""
    return value._version if isinstance(value, Tensor) and not value.is_inference() else -1


def _name_of(func: Callable[..., object]) -> str:
    name = str(getattr(func, "__name__", ""))
    return str(getattr(func.__self__, "__name__", "")) if name == "__get__" and hasattr(func, "__self__") else name


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__")


def is_plain(value: object) -> bool:
    """Whether a value is a tensor of floating-point numbers without a class of its own."""
    return type(value) in (Tensor, torch.nn.Parameter) and isinstance(value, Tensor) and value.is_floating_point()
